//! HTTP/1.1 over TCP, written out so that a fault can put any byte on the wire, or none.

mod connection;
mod range;
mod request;
mod response;
mod send;
mod source;

pub(crate) use connection::serve;
pub(crate) use range::{Wanted, wanted};
pub(crate) use request::{Request, form};
pub(crate) use response::{Answer, FileAnswer, Response};
pub(crate) use send::Delivery;
pub(crate) use source::Source;
