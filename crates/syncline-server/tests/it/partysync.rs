//! partysync's protocol through real sockets.

mod calling;
mod coming_back;
mod hostile;
mod rights;
mod slow_reader;
mod syncing;
mod traces;
mod two_faces;
