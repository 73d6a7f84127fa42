//! Where credentials come from: the application's own asynchronous code.

use std::any::Any;
use std::fmt::Display;
use std::sync::Arc;

use crate::{BoxFuture, Error, MaybeSend, code};

/// Asks the application for credentials.
pub(crate) type Provider = Arc<dyn Fn() -> BoxFuture<Result<Option<String>, Error>> + Send + Sync>;

pub(crate) fn provider<F, Fut>(provide: F) -> Provider
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoCredentials> + MaybeSend + 'static,
{
    Arc::new(move || {
        let answer = provide();
        Box::pin(async move { answer.await.into_credentials() })
    })
}

/// What a provider of credentials may answer: a token, perhaps none, or why there is none to be had now.
///
/// An answer of `None` connects without a token: the connection's cookies say who it is, if anything does.
pub trait IntoCredentials {
    /// The answer in its full form.
    ///
    /// # Errors
    /// Whatever the provider failed with. The client tries again later, as for a connection that failed.
    fn into_credentials(self) -> Result<Option<String>, Error>;
}

impl IntoCredentials for String {
    fn into_credentials(self) -> Result<Option<String>, Error> {
        Ok(Some(self))
    }
}

impl IntoCredentials for &str {
    fn into_credentials(self) -> Result<Option<String>, Error> {
        Ok(Some(self.into()))
    }
}

impl<T: IntoCredentials> IntoCredentials for Option<T> {
    fn into_credentials(self) -> Result<Option<String>, Error> {
        self.map_or(Ok(None), T::into_credentials)
    }
}

impl<T: IntoCredentials, E: Display + 'static> IntoCredentials for Result<T, E> {
    fn into_credentials(self) -> Result<Option<String>, Error> {
        match self {
            Ok(credentials) => credentials.into_credentials(),
            Err(error) => Err(match (&error as &dyn Any).downcast_ref::<Error>() {
                Some(error) => error.clone(),
                None => Error::new(code::CONNECTION, format!("no credentials: {error}")),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_be_there_or_not() {
        assert_eq!("t".into_credentials(), Ok(Some("t".into())));
        assert_eq!(Some(String::from("t")).into_credentials(), Ok(Some("t".into())));
        assert_eq!(None::<String>.into_credentials(), Ok(None));
        assert_eq!(Ok::<_, Error>(None::<String>).into_credentials(), Ok(None));
    }

    #[test]
    fn an_error_of_ours_keeps_its_code() {
        let ours = Error::new(code::UNAUTHENTICATED, "signed out");
        assert_eq!(Err::<String, _>(ours.clone()).into_credentials(), Err(ours));
        let theirs = Err::<String, _>(std::fmt::Error).into_credentials().unwrap_err();
        assert!(theirs.is_temporary());
    }
}
