//! Writes torch zips byte by byte: as `torch.save` does, or with one thing wrong.

/// One member and what its two headers say about it.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) local_name: Option<String>,
    pub(crate) data: Vec<u8>,
    pub(crate) local_flags: u16,
    pub(crate) central_flags: u16,
    pub(crate) local_method: u16,
    pub(crate) central_method: u16,
    pub(crate) crc: Option<u32>,
    pub(crate) central_size: Option<u32>,
    pub(crate) attributes: u32,
    pub(crate) comment: Vec<u8>,
    pub(crate) disk: u16,
    pub(crate) padding: u8,
    pub(crate) extra: Vec<u8>,
    pub(crate) descriptor: bool,
    pub(crate) long_descriptor: bool,
    pub(crate) offset: Option<u32>,
    pub(crate) gap: Vec<u8>,
}

impl Member {
    pub(crate) fn new(name: &str, data: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            local_name: None,
            data: data.into(),
            local_flags: 0x0808,
            central_flags: 0x0808,
            local_method: 0,
            central_method: 0,
            crc: None,
            central_size: None,
            attributes: 0,
            comment: Vec::new(),
            disk: 0,
            padding: b'Z',
            extra: Vec::new(),
            descriptor: true,
            long_descriptor: false,
            offset: None,
            gap: Vec::new(),
        }
    }

    /// Sizes in the local header and nothing behind the data, as Python's zipfile writes.
    pub(crate) fn plain(mut self) -> Self {
        (self.local_flags, self.central_flags, self.descriptor) = (0, 0, false);
        self
    }
}

/// A whole archive and what is around it.
#[derive(Clone)]
pub(crate) struct Zip {
    pub(crate) members: Vec<Member>,
    pub(crate) prefix: Vec<u8>,
    pub(crate) before_directory: Vec<u8>,
    pub(crate) after_directory: Vec<u8>,
    pub(crate) comment: Vec<u8>,
    pub(crate) suffix: Vec<u8>,
    pub(crate) zip64: bool,
    pub(crate) end_entries: Option<u16>,
    pub(crate) end_disk: u16,
}

pub(crate) fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

impl Zip {
    pub(crate) fn new(members: Vec<Member>) -> Self {
        Self {
            members,
            prefix: Vec::new(),
            before_directory: Vec::new(),
            after_directory: Vec::new(),
            comment: Vec::new(),
            suffix: Vec::new(),
            zip64: true,
            end_entries: None,
            end_disk: 0,
        }
    }

    /// What `torch.save` writes around a pickle: storages, version, byte order.
    pub(crate) fn torch(pickle: Vec<u8>, storages: &[(&str, usize)]) -> Self {
        let mut members = vec![Member::new("archive/data.pkl", pickle)];
        members.push(Member::new("archive/.format_version", "1"));
        members.push(Member::new("archive/.storage_alignment", "64"));
        members.push(Member::new("archive/byteorder", "little"));
        for (key, size) in storages {
            let data: Vec<u8> = (0..*size).map(|at| (at % 251) as u8).collect();
            members.push(Member::new(&format!("archive/data/{key}"), data));
        }
        members.push(Member::new("archive/version", "3\n"));
        members.push(Member::new("archive/.data/serialization_id", "1".repeat(40)));
        Self::new(members)
    }

    pub(crate) fn member(&mut self, name: &str) -> &mut Member {
        self.members.iter_mut().find(|member| member.name == name).expect("a member of that name")
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut out = self.prefix.clone();
        let mut directory = Vec::new();
        for member in &self.members {
            let offset = out.len() as u32;
            local(&mut out, member);
            central(&mut directory, member, member.offset.unwrap_or(offset));
        }
        out.extend(&self.before_directory);
        let start = out.len() as u64;
        out.extend(&directory);
        let length = directory.len() as u64;
        out.extend(&self.after_directory);
        let count = self.members.len();
        if self.zip64 {
            end64(&mut out, count as u64, length, start);
        }
        let entries = self.end_entries.unwrap_or(count.min(0xffff) as u16);
        out.extend(b"PK\x05\x06");
        push16(&mut out, &[self.end_disk, self.end_disk, entries, entries]);
        push32(&mut out, &[length as u32, start as u32]);
        push16(&mut out, &[self.comment.len() as u16]);
        out.extend(&self.comment);
        out.extend(&self.suffix);
        out
    }
}

fn push16(out: &mut Vec<u8>, values: &[u16]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn push32(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn local(out: &mut Vec<u8>, member: &Member) {
    let name = member.local_name.as_ref().unwrap_or(&member.name);
    let sum = member.crc.unwrap_or_else(|| crc(&member.data));
    let size = member.data.len() as u32;
    let start = out.len() + 30 + name.len() + member.extra.len() + 4;
    let padding = (64 - start % 64) % 64;
    out.extend(b"PK\x03\x04");
    push16(out, &[0, member.local_flags, member.local_method, 0, 0]);
    push32(out, &if member.descriptor { [0, 0, 0] } else { [sum, size, size] });
    push16(out, &[name.len() as u16, (member.extra.len() + 4 + padding) as u16]);
    out.extend(name.as_bytes());
    out.extend(&member.extra);
    out.extend(b"FB");
    push16(out, &[padding as u16]);
    out.resize(out.len() + padding, member.padding);
    out.extend(&member.data);
    if member.descriptor {
        out.extend(b"PK\x07\x08");
        push32(
            out,
            &if member.long_descriptor { vec![sum, size, 0, size, 0] } else { vec![sum, size, size] },
        );
    }
    out.extend(&member.gap);
}

fn central(out: &mut Vec<u8>, member: &Member, offset: u32) {
    let size = member.central_size.unwrap_or(member.data.len() as u32);
    out.extend(b"PK\x01\x02");
    push16(out, &[0x031e, 0, member.central_flags, member.central_method, 0, 0]);
    push32(out, &[member.crc.unwrap_or_else(|| crc(&member.data)), size, size]);
    push16(out, &[member.name.len() as u16, 0, member.comment.len() as u16, member.disk, 0]);
    push32(out, &[member.attributes, offset]);
    out.extend(member.name.as_bytes());
    out.extend(&member.comment);
}

fn end64(out: &mut Vec<u8>, count: u64, length: u64, start: u64) {
    let at = out.len() as u64;
    out.extend(b"PK\x06\x06");
    out.extend(44_u64.to_le_bytes());
    push16(out, &[0x031e, 45]);
    push32(out, &[0, 0]);
    out.extend([count, count, length, start].iter().flat_map(|value| value.to_le_bytes()));
    out.extend(b"PK\x06\x07");
    push32(out, &[0]);
    out.extend(at.to_le_bytes());
    push32(out, &[1]);
}
