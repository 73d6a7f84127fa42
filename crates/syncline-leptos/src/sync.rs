//! A channel, as signals and a function.

use syncline::hook::IntoChannel;
use syncline::{ActionHandle, Channel};

use crate::{UseWatch, use_syncline, use_watch};

/// The rows of a channel, and the way to send its actions, for as long as the component is there.
///
/// Takes a [`ChannelQuery`](syncline::ChannelQuery), an `Option` of one, or a closure over signals that gives either. The
/// rows are those of a [`use_watch`](crate::use_watch) and follow the same rules. `send` gives back an
/// [`ActionHandle`], a future of the server's answer, for those who want it; what the action does is on the screen before
/// it returns. While there is no channel, and once the component is gone, it refuses with `closed`.
///
/// ```no_run
/// # use leptos::prelude::*;
/// # use serde::{Deserialize, Serialize};
/// # use syncline::{Channel, Draft, Error, Record};
/// # #[derive(Clone, PartialEq, Serialize, Deserialize, Record)]
/// # #[record(collection = "todos", key = id)]
/// # struct Todo { id: String, text: String, done: bool }
/// # #[derive(Serialize, Deserialize)]
/// # enum TodoAction { Create { id: String, text: String }, Toggle { id: String } }
/// # struct TodoChannel;
/// # impl Channel for TodoChannel {
/// #     const NAME: &'static str = "todos";
/// #     type Record = Todo;
/// #     type Action = TodoAction;
/// #     type Output = ();
/// #     type Error = Error;
/// #     fn reduce(_: &mut Draft<'_, Todo>, _: &TodoAction) {}
/// # }
/// use syncline_leptos::use_sync;
///
/// #[component]
/// fn Todos(list: Signal<String>) -> impl IntoView {
///     let (todos, send) = use_sync(move || TodoChannel::in_space(list.get()));
///     let add = move |_| drop(send(TodoAction::Create { id: "t1".into(), text: "Milk".into() }));
///     view! {
///         <For each=move || todos.rows() key=|row| row.key() let:row>
///             <p>{move || row.get().text}</p>
///         </For>
///         <button on:click=add>"Milk"</button>
///     }
/// }
/// ```
///
/// `send` is `Copy`. To hand it to a component, make a [`Callback`](leptos::prelude::Callback) of it.
///
/// # Panics
/// Without a client: see [`use_syncline`]. When another Rust type has the same channel or collection name.
#[track_caller]
pub fn use_sync<C: Channel>(
    channel: impl IntoChannel<C> + Send + Sync + 'static,
) -> (UseWatch<C::Record>, impl Fn(C::Action) -> ActionHandle<C> + Copy + Send + Sync + 'static) {
    use_syncline().register_channel::<C>();
    let records = use_watch(move || channel.channel().map(|channel| channel.query().clone()));
    let send = move |action| records.place_of::<C::Record>().send(action);
    (records, send)
}
