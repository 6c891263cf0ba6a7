//! The language in which surfaces describe themselves, and what an OpenAPI 3.1 document is made of.
//!
//! Each file of a surface that has routes describes its operations beside them ([`operation`]); the schemas come from the
//! structs that the handlers read and answer, so that they cannot say anything else. [`mod@document`] puts a document
//! together, [`schema`] what the two directions of the wire share, [`parameter`] what stands in paths and queries, and
//! [`command`] the example that people copy. Which surface has which operations knows `docs`.

mod command;
mod document;
mod operation;
mod parameter;
mod schema;

pub(crate) use document::{Description, Refused, document};
pub(crate) use operation::{Operation, tagged};
pub(crate) use parameter::Extra;
