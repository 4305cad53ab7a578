//! The programs against real clients and real servers, over real sockets.

mod files;
mod files_by_name;
mod files_like_nginx;
