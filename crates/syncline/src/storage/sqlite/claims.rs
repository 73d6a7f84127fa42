//! Who of several programs looks after something: a lock on a file of its own, which the system lets go of when its owner
//! is gone, however that came.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use futures::channel::oneshot;

use super::super::Claim;

/// How often somebody else may take the file away between its opening and its locking.
const ATTEMPTS: u32 = 100;

/// Takes a claim, if nobody has it. Where files cannot be locked everybody gets what they want: the server takes each
/// write once.
pub(super) async fn claim(database: PathBuf, name: String) -> Option<Claim> {
    let (give, taken) = oneshot::channel();
    // the disk may make one wait
    let work = move || {
        let claim = match take(&folder(&database), &name) {
            Ok(claim) => claim.map(Claim::new),
            Err(_) => Some(Claim::new(())),
        };
        // nobody may be waiting any more; then it is let go
        let _ = give.send(claim);
    };
    match thread::Builder::new().name("syncline-claim".into()).spawn(work) {
        Ok(_) => taken.await.unwrap_or_else(|_| Some(Claim::new(()))),
        Err(_) => Some(Claim::new(())),
    }
}

/// The claims on what is in a database are beside it, whatever path it is reached by.
fn folder(database: &Path) -> PathBuf {
    let mut folder = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned()).into_os_string();
    folder.push("-claims");
    folder.into()
}

/// A locked file.
struct Claimed {
    path: PathBuf,
    file: File,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        // while it is still locked: whoever has opened it meanwhile sees that it is not there any more. Elsewhere a file that is
        // open stays, and the next one takes it as it is
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
        let _ = self.file.unlock();
    }
}

fn take(folder: &Path, name: &str) -> io::Result<Option<Claimed>> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{:032x}", hash(name.as_bytes())));
    for _ in 0..ATTEMPTS {
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) if is_at(&file, &path) => return Ok(Some(Claimed { path, file })),
            // the one who had it has just removed it
            Ok(()) => {}
        }
    }
    Ok(None)
}

/// Whether this file is the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|there| (there.dev(), there.ino()));
    let (own, there) = (id(file.metadata()), id(fs::metadata(path)));
    own.is_some() && own == there
}

/// Elsewhere nobody takes it away.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

/// FNV-1a: the same in every program, whatever built it. Names are random enough not to meet.
fn hash(bytes: &[u8]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_files_that_do_not_change_from_one_build_to_the_next() {
        assert_eq!(hash(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(hash(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }
}
