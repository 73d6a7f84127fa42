//! partysync's protocol through real sockets.

mod traces;
