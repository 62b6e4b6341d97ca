//! The local socket in the data folder: who may open that folder is its owner.
//!
//! It appears complete or not at all (bound under another name, closed to others, then renamed over what a killed server
//! left), and works in folders whose path is longer than an address of a socket may be.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Longest path in the address of a local socket, bytes, with a margin for the smallest of the systems.
const LONGEST_ADDRESS: usize = 100;

/// Connects to the server behind `path`.
///
/// # Errors
/// There is no such socket, nobody listens on it any more, or it may not be opened.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = Address::of(path)?;
    UnixStream::connect(&address.path).await
}

/// Listens on `path`, in place of what was there; only the owner of this process may connect.
///
/// # Errors
/// The folder cannot be written, or does not hold sockets.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let fresh = path.with_extension("sock.new");
    remove(&fresh)?;
    let listener = UnixListener::bind(&Address::of(&fresh)?.path)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}

/// Takes the socket away; one that is gone already is fine.
///
/// # Errors
/// The folder cannot be written.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A path short enough for an address, and what keeps it valid.
struct Address {
    path: PathBuf,
    _folder: Option<File>,
}

impl Address {
    fn of(path: &Path) -> io::Result<Self> {
        let direct = Self {
            path: path.to_owned(),
            _folder: None,
        };
        if path.as_os_str().as_bytes().len() <= LONGEST_ADDRESS {
            return Ok(direct);
        }
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(direct);
        };
        // Linux lets the folder be named by a descriptor; elsewhere the system's own error says that it is too long.
        let descriptors = Path::new("/proc/self/fd");
        if !descriptors.exists() {
            return Ok(direct);
        }
        let folder = File::open(folder)?;
        Ok(Self {
            path: descriptors.join(folder.as_raw_fd().to_string()).join(name),
            _folder: Some(folder),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{connect, listen};

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_long_path_works() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("x".repeat(120));
        std::fs::create_dir(&folder).expect("a folder");
        let path = folder.join("quoin.sock");
        assert!(connect(&path).await.is_err());
        drop(listen(&path).expect("the first listener"));
        assert!(path.exists(), "the file stays, as after kill -9");
        assert!(connect(&path).await.is_err(), "nobody listens");
        let _listener = listen(&path).expect("the second listener");
        connect(&path).await.expect("it answers");
    }
}
