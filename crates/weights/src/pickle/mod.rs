//! Reads a pickle without building anything: an allow-list of opcodes and of exact names, over symbolic
//! values that keep their identity.
//!
//! A deny-list does not hold, there is always one more callable. Here a pickle passes only when
//! everything in it is what `torch.save` writes for tensors and plain containers, and an error of any
//! kind denies: what comes before it may already have run elsewhere.
//!
//! Opcodes: <https://docs.python.org/3/library/pickletools.html>.

mod calls;
mod globals;
mod input;
mod machine;
mod opcode;
mod operands;
mod value;

pub(crate) use input::Input;
pub(crate) use machine::{NamedTensor, Outcome, Persistence, run};
pub(crate) use value::Storage;
