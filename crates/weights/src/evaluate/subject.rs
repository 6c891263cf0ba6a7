//! A file that something is done with beside its evaluation: its header, its modules and their changes.

use super::EvaluateError;
use super::decode::Tally;
use super::delta::Delta;
use super::measure::{self, Modules};
use super::module::Parts;
use super::orthogonal::Blocks;
use super::reader::{Reader, Unmeasured};
use super::scale::{self, Claims, Scale};
use crate::read::ReadAt;
use crate::safetensors::Header;

/// A file that is compared, resized or mapped to a base model.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The name by which answers call it.
    pub name: &'a str,
    /// Its bytes.
    pub file: &'a (dyn ReadAt + Sync),
    /// Its header.
    pub header: &'a Header,
    /// The text of PEFT's `adapter_config.json` beside it.
    pub adapter_config: Option<&'a str>,
}

/// A subject whose tensors are sorted into modules.
pub(super) struct Opened<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) modules: Modules<'a>,
    claims: Claims,
}

impl<'a> Opened<'a> {
    pub(super) fn new(subject: Subject<'a>) -> Self {
        let claims = Claims::new(subject.header, subject.adapter_config);
        Self { subject, modules: measure::group(&subject.header.tensors), claims }
    }

    /// The same with the scales that programs apply, not those that a trainer's metadata remembers.
    pub(super) fn applied(subject: Subject<'a>) -> Self {
        let mut opened = Self::new(subject);
        opened.claims = opened.claims.applied();
        opened
    }

    /// The scale of a module.
    pub(super) fn scale(&self, name: &str, parts: &Parts<'_>) -> Result<Scale, EvaluateError> {
        scale::scale(self.subject.header, self.subject.file, &self.claims, name, parts)
    }

    /// The change of a module without its scale; none when it has none that is finite and in the file alone.
    pub(super) fn delta(&self, parts: &Parts<'_>) -> Result<Option<Delta>, EvaluateError> {
        self.read(parts, Reader::delta)
    }

    /// The part of a GLoRA that is multiplied with the base weight, likewise.
    pub(super) fn glora_factor(&self, parts: &Parts<'_>) -> Result<Option<Delta>, EvaluateError> {
        self.read(parts, Reader::glora_factor)
    }

    /// The blocks of an OFT or BOFT, likewise.
    pub(super) fn blocks(&self, parts: &Parts<'_>) -> Result<Option<Blocks>, EvaluateError> {
        self.read(parts, Reader::blocks)
    }

    fn read<'p, T>(
        &self,
        parts: &'p Parts<'p>,
        take: impl FnOnce(&mut Reader<'p, dyn ReadAt + Sync + 'a>) -> Result<T, Unmeasured>,
    ) -> Result<Option<T>, EvaluateError>
    where
        'a: 'p,
    {
        let file: &'a (dyn ReadAt + Sync + 'a) = self.subject.file;
        let mut reader = Reader::new(file, self.subject.header.data_start(), parts);
        let found = reader.check_size().and_then(|()| take(&mut reader));
        let Tally { census, .. } = reader.tally;
        match found {
            Ok(found) => Ok(census.is_finite().then_some(found)),
            Err(Unmeasured::Because(_)) => Ok(None),
            Err(Unmeasured::Failed(error)) => Err(error),
        }
    }
}
