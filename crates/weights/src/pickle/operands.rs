//! What the machine keeps: the stack with its marks, the memo, tuples and texts. Nothing here acts.

use super::machine::Machine;
use super::opcode as op;
use super::value::{Text, Tuple, Value};
use crate::denial::{Checked, deny};
use crate::read::ReadAt;

/// Texts up to this length are kept: keys of tensors and storages, names of devices.
const TEXT_KEPT: usize = 256;
/// Of texts beyond this many bytes in all, only that they are texts is known.
const TEXTS_KEPT: usize = 64 * 1024 * 1024;
/// How deep tuples may lie in tuples. Python's own pickler gives up at about a thousand.
const TUPLE_DEPTH: u16 = 256;

impl<F: ReadAt + ?Sized> Machine<'_, '_, F> {
    // --- the stack -----------------------------------------------------------------------------

    pub(super) fn push(&mut self, value: Value) -> Checked<()> {
        if self.stack.len() + self.marks.len() >= self.input.limits().stack {
            return deny("limit_stack", format!("it stacks more than {} values", self.input.limits().stack));
        }
        self.stack.push(value);
        Ok(())
    }

    pub(super) fn mark(&mut self) -> Checked<()> {
        if self.stack.len() + self.marks.len() >= self.input.limits().stack {
            return deny("limit_stack", format!("it stacks more than {} values", self.input.limits().stack));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Values below a mark are out of reach until the mark is gone.
    pub(super) fn reachable(&self) -> usize {
        self.stack.len() - self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn pop(&mut self) -> Checked<Value> {
        match self.stack.pop() {
            Some(value) if self.marks.last().is_none_or(|mark| *mark <= self.stack.len()) => Ok(value),
            _ => deny("stack", "it takes a value that is not there"),
        }
    }

    pub(super) fn top(&self) -> Checked<Value> {
        match self.stack.last() {
            Some(value) if self.reachable() > 0 => Ok(*value),
            _ => deny("stack", "it takes a value that is not there"),
        }
    }

    /// Removes the topmost mark and answers how many values lie above it.
    pub(super) fn above_mark(&mut self) -> Checked<usize> {
        match self.marks.pop() {
            Some(mark) => Ok(self.stack.len() - mark),
            None => deny("stack", "it takes a mark that is not there"),
        }
    }

    // --- values --------------------------------------------------------------------------------

    pub(super) fn number(&mut self, opcode: u8) -> Checked<()> {
        let value = match opcode {
            op::BININT => Value::Int(i32::from_le_bytes(self.input.array()?).into()),
            op::BININT1 => Value::Int(self.input.byte()?.into()),
            op::BININT2 => Value::Int(u16::from_le_bytes(self.input.array()?).into()),
            op::BINFLOAT => self.input.array::<8>().map(|_| Value::Float)?,
            _ => self.long()?,
        };
        self.push(value)
    }

    /// A signed little-endian number of up to 255 bytes.
    pub(super) fn long(&mut self) -> Checked<Value> {
        let length = self.input.byte()?;
        let mut bytes = [0; 8];
        for index in 0..usize::from(length) {
            let byte = self.input.byte()?;
            if let Some(slot) = bytes.get_mut(index) {
                *slot = byte;
            }
        }
        if length > 8 {
            return Ok(Value::BigInt);
        }
        let shift = 64 - 8 * u32::from(length);
        let value = u64::from_le_bytes(bytes).checked_shl(shift).unwrap_or(0) as i64;
        Ok(Value::Int(value.checked_shr(shift).unwrap_or(0)))
    }

    pub(super) fn text(&mut self, opcode: u8) -> Checked<()> {
        let text = if opcode == op::BINUNICODE {
            let length = u32::from_le_bytes(self.input.array()?);
            self.input.text(length.into(), TEXT_KEPT)?
        } else {
            let length = self.input.byte()?;
            self.input.byte_text(length)?
        };
        let value = match text {
            Some(text) if self.texts.len() + text.len() <= TEXTS_KEPT => {
                let start = self.texts.len() as u32;
                self.texts.push_str(&text);
                Text::Kept { start, length: text.len() as u16 }
            }
            _ => Text::Long,
        };
        self.push(Value::Text(value))
    }

    pub(super) fn list(&mut self) -> Checked<()> {
        self.lists += 1;
        self.push(Value::List(self.lists - 1))
    }

    pub(super) fn tuple(&mut self, count: usize) -> Checked<()> {
        if self.reachable() < count {
            return deny("stack", "it takes a value that is not there");
        }
        if self.members.len() + count > self.input.limits().remembered {
            return deny("limit_memory", "its tuples hold too much");
        }
        let start = self.members.len() as u32;
        self.members.extend(self.stack.drain(self.stack.len() - count..));
        let inner = self.members[start as usize..].iter().map(|value| match value {
            Value::Tuple(tuple) => tuple.depth + 1,
            _ => 0,
        });
        let depth = inner.max().unwrap_or(0);
        if depth > TUPLE_DEPTH {
            return deny("limit_depth", format!("its tuples lie more than {TUPLE_DEPTH} deep"));
        }
        self.push(Value::Tuple(Tuple { start, length: count as u32, depth }))
    }

    pub(super) fn members(&self, tuple: Tuple) -> &[Value] {
        &self.members[tuple.start as usize..(tuple.start + tuple.length) as usize]
    }

    pub(super) fn text_of(&self, value: Value) -> Option<&str> {
        match value {
            Value::Text(Text::Kept { start, length }) => {
                self.texts.get(start as usize..start as usize + usize::from(length))
            }
            _ => None,
        }
    }

    // --- the memo ------------------------------------------------------------------------------

    pub(super) fn slot(&mut self, long: bool) -> Checked<usize> {
        let slot = if long {
            u32::from_le_bytes(self.input.array()?) as usize
        } else {
            usize::from(self.input.byte()?)
        };
        if slot >= self.input.limits().memo {
            return deny("limit_memo", format!("it uses memo slot {slot}"));
        }
        Ok(slot)
    }

    pub(super) fn put(&mut self, opcode: u8) -> Checked<()> {
        let slot = self.slot(opcode == op::LONG_BINPUT)?;
        let value = self.top()?;
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, None);
        }
        if self.memo[slot].replace(value).is_some() {
            return deny("memo_overwrite", format!("it writes memo slot {slot} twice"));
        }
        Ok(())
    }

    pub(super) fn get(&mut self, opcode: u8) -> Checked<()> {
        let slot = self.slot(opcode == op::LONG_BINGET)?;
        match self.memo.get(slot).copied().flatten() {
            Some(value) => self.push(value),
            None => deny("memo_missing", format!("it reads memo slot {slot}, which is empty")),
        }
    }
}
