//! The stack machine. It follows a pickle opcode by opcode and stops at the first thing that the
//! writer of torch files never writes.

use super::globals::{self, Global};
use super::input::Input;
use super::opcode as op;
use super::value::{DictKind, Storage, TensorFact, Text, Value};
use crate::denial::{Checked, deny};
use crate::read::ReadAt;

/// After how many opcodes the clock is looked at.
const TIME_STRIDE: u64 = 65_536;

/// Which persistent ids a pickle may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// None at all.
    None,
    /// `("storage", type, key, location, count)`, as in zips.
    Zip,
    /// The same with a view behind it, as before torch 1.6.
    Legacy,
}

/// One tensor that a pickle puts under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedTensor {
    /// The key in the dict that holds it.
    pub(crate) name: String,
    /// The element type in the words of safetensors.
    pub(crate) dtype: &'static str,
    /// The shape.
    pub(crate) shape: Vec<u64>,
}

/// What a pickle that passed holds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The storages that it names, in order of first mention.
    pub(crate) storages: Vec<Storage>,
    /// The tensors that lie in dicts under a text.
    pub(crate) tensors: Vec<NamedTensor>,
    /// The texts of the first list, when that list is the pickle's value.
    pub(crate) texts: Option<Vec<String>>,
}

/// Runs one pickle from `input` to its STOP.
pub(crate) fn run<F: ReadAt + ?Sized>(
    input: &mut Input<'_, F>,
    persistence: Persistence,
) -> Checked<Outcome> {
    let mut machine = Machine::new(input, persistence);
    machine.start()?;
    while machine.step()? {}
    machine.finish()
}

pub(super) struct Machine<'a, 'f, F: ?Sized> {
    pub(super) input: &'a mut Input<'f, F>,
    pub(super) persistence: Persistence,
    pub(super) stack: Vec<Value>,
    /// Heights of the stack at which marks lie.
    pub(super) marks: Vec<usize>,
    pub(super) memo: Vec<Option<Value>>,
    /// The members of all tuples.
    pub(super) members: Vec<Value>,
    /// The bytes of all kept texts.
    pub(super) texts: String,
    pub(super) lists: u32,
    pub(super) first_list: Vec<Value>,
    pub(super) storages: Vec<Storage>,
    pub(super) storage_index: std::collections::HashMap<String, u32>,
    pub(super) tensors: Vec<TensorFact>,
    named: Vec<(Text, u32)>,
    opcodes: u64,
}

impl<'a, 'f, F: ReadAt + ?Sized> Machine<'a, 'f, F> {
    fn new(input: &'a mut Input<'f, F>, persistence: Persistence) -> Self {
        Self {
            input,
            persistence,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            members: Vec::new(),
            texts: String::new(),
            lists: 0,
            first_list: Vec::new(),
            storages: Vec::new(),
            storage_index: std::collections::HashMap::new(),
            tensors: Vec::new(),
            named: Vec::new(),
            opcodes: 0,
        }
    }

    /// torch writes protocol 2, which has neither frames nor names built from texts.
    fn start(&mut self) -> Checked<()> {
        match self.input.array()? {
            [op::PROTO, 2] => Ok(()),
            [op::PROTO, version] => deny("protocol", format!("it is a pickle of protocol {version}, not 2")),
            _ => deny("protocol", "it is a pickle that does not begin with its protocol"),
        }
    }

    fn count_opcode(&mut self) -> Checked<()> {
        self.opcodes += 1;
        if self.opcodes > self.input.limits().opcodes {
            return deny(
                "limit_opcodes",
                format!("it has more than {} opcodes", self.input.limits().opcodes),
            );
        }
        if self.opcodes.is_multiple_of(TIME_STRIDE) { self.input.check_time() } else { Ok(()) }
    }

    /// One opcode; false after STOP.
    fn step(&mut self) -> Checked<bool> {
        self.count_opcode()?;
        let opcode = self.input.byte()?;
        match opcode {
            op::STOP => return Ok(false),
            op::MARK => self.mark(),
            op::NONE => self.push(Value::None),
            op::NEWTRUE | op::NEWFALSE => self.push(Value::Bool),
            op::BININT | op::BININT1 | op::BININT2 | op::LONG1 | op::BINFLOAT => self.number(opcode),
            op::BINUNICODE | op::SHORT_BINSTRING => self.text(opcode),
            op::EMPTY_DICT => self.push(Value::Dict(DictKind::Plain)),
            op::EMPTY_LIST => self.list(),
            op::EMPTY_SET => self.push(Value::Set),
            op::EMPTY_TUPLE => self.tuple(0),
            op::TUPLE1 => self.tuple(1),
            op::TUPLE2 => self.tuple(2),
            op::TUPLE3 => self.tuple(3),
            op::TUPLE => self.above_mark().and_then(|count| self.tuple(count)),
            op::BINPUT | op::LONG_BINPUT => self.put(opcode),
            op::BINGET | op::LONG_BINGET => self.get(opcode),
            op::GLOBAL => self.global(),
            op::BINPERSID => self.persistent(),
            op::REDUCE => self.reduce(),
            op::BUILD => self.build(),
            op::SETITEM => self.set_items(2),
            op::SETITEMS => self.above_mark().and_then(|count| self.set_items(count)),
            op::APPEND => self.append(1),
            op::APPENDS => self.above_mark().and_then(|count| self.append(count)),
            op::PROTO => deny("protocol", "it changes its protocol in the middle"),
            other => deny(
                "opcode",
                format!("it uses {}, which torch.save does not write", op::refused_name(other)),
            ),
        }?;
        Ok(true)
    }

    fn finish(mut self) -> Checked<Outcome> {
        let result = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return deny("stack", "it leaves more than one value at its end");
        }
        let texts = match result {
            Value::List(0) => {
                self.first_list.iter().map(|value| self.text_of(*value).map(str::to_owned)).collect()
            }
            _ => None,
        };
        let named =
            self.named.iter().filter_map(|(name, tensor)| self.named_tensor(*name, *tensor)).collect();
        Ok(Outcome { storages: self.storages, tensors: named, texts })
    }

    fn named_tensor(&self, name: Text, tensor: u32) -> Option<NamedTensor> {
        let fact = self.tensors[tensor as usize];
        let side =
            |value: &Value| if let Value::Int(side) = value { u64::try_from(*side).ok() } else { None };
        let shape = self.members(fact.shape).iter().map(side).collect::<Option<_>>()?;
        Some(NamedTensor { name: self.text_of(Value::Text(name))?.to_owned(), dtype: fact.dtype, shape })
    }

    fn global(&mut self) -> Checked<()> {
        let (module, name) = (self.input.line()?, self.input.line()?);
        let shown = crate::safetensors::display_name(&format!("{module}.{name}"));
        if name.contains('.') {
            return deny("global_dotted", format!("it imports `{shown}` through a dotted name"));
        }
        match globals::find(&module, &name) {
            Some(global) => self.push(Value::Global(global)),
            None => deny("global", format!("it imports `{shown}`, which weights do not need")),
        }
    }

    fn persistent(&mut self) -> Checked<()> {
        let id = self.pop()?;
        let storage = self.storage(id)?;
        self.push(storage)
    }

    fn reduce(&mut self) -> Checked<()> {
        let arguments = self.pop()?;
        let target = self.pop()?;
        let Value::Global(Global::Call(call)) = target else {
            return deny(
                "call",
                format!("it calls {}, which is not one of the known functions", target.kind()),
            );
        };
        let Value::Tuple(arguments) = arguments else {
            return deny("call", format!("it calls a function with {} instead of a tuple", arguments.kind()));
        };
        let value = self.call(call, arguments)?;
        self.push(value)
    }

    fn build(&mut self) -> Checked<()> {
        let state = self.pop()?;
        match (self.top()?, state) {
            (Value::Dict(DictKind::Ordered), Value::Dict(_)) => Ok(()),
            (Value::Tensor(_), Value::Tuple(arguments)) => self.check_set_storage(arguments),
            (target, state) => {
                deny("build", format!("it changes the inside of {} by {}", target.kind(), state.kind()))
            }
        }
    }

    fn set_items(&mut self, count: usize) -> Checked<()> {
        if !count.is_multiple_of(2) || self.reachable() <= count {
            return deny("stack", "it sets an item that is not there");
        }
        let first = self.stack.len() - count;
        let target = self.stack[first - 1];
        if !matches!(target, Value::Dict(_)) {
            return deny("setitem", format!("it sets an item of {}, not of a dict", target.kind()));
        }
        for at in (first..self.stack.len()).step_by(2) {
            if matches!(self.stack[at], Value::List(_) | Value::Dict(_) | Value::Set | Value::Storage(_)) {
                return deny("setitem", format!("it uses {} as a key", self.stack[at].kind()));
            }
            if let (Value::Text(name), Value::Tensor(tensor) | Value::Parameter(tensor)) =
                (self.stack[at], self.stack[at + 1])
            {
                if self.named.len() == self.input.limits().remembered {
                    return deny("limit_memory", "it names too many tensors");
                }
                self.named.push((name, tensor));
            }
        }
        self.stack.truncate(first);
        Ok(())
    }

    fn append(&mut self, count: usize) -> Checked<()> {
        if self.reachable() <= count {
            return deny("stack", "it appends a value that is not there");
        }
        let first = self.stack.len() - count;
        let Value::List(list) = self.stack[first - 1] else {
            return deny("append", format!("it appends to {}, not to a list", self.stack[first - 1].kind()));
        };
        if list == 0 {
            if self.first_list.len() + count > self.input.limits().remembered {
                return deny("limit_memory", "its first list holds too much");
            }
            self.first_list.extend_from_slice(&self.stack[first..]);
        }
        self.stack.truncate(first);
        Ok(())
    }
}
