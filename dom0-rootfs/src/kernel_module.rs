// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel module says about itself: the `.modinfo` section of its ELF file, strings of the
//! form `key=value`, each ended by a zero byte.

/// A file that is not a 64-bit little-endian ELF with a `.modinfo` section.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a kernel module: {0}")]
pub(crate) struct NotAModule(&'static str);

/// All values of `key`, in the module's order.
pub(crate) fn modinfo<'m>(module: &'m [u8], key: &str) -> Result<Vec<&'m str>, NotAModule> {
    let section = section(module, ".modinfo")?;
    let mut values = Vec::new();
    for string in section.split(|&byte| byte == 0).filter(|string| !string.is_empty()) {
        let text = std::str::from_utf8(string).map_err(|_| NotAModule("modinfo is not text"))?;
        if let Some((_, value)) = text.split_once('=').filter(|(name, _)| *name == key) {
            values.push(value);
        }
    }
    Ok(values)
}

/// The names of the modules that this one needs, as it spells them.
pub(crate) fn depends(module: &[u8]) -> Result<Vec<&str>, NotAModule> {
    let lists = modinfo(module, "depends")?;
    Ok(lists.into_iter().flat_map(|list| list.split(',')).filter(|name| !name.is_empty()).collect())
}

/// The name that the kernel knows a module by: its file's name with `_` for `-`.
pub(crate) fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

fn section<'m>(elf: &'m [u8], wanted: &str) -> Result<&'m [u8], NotAModule> {
    const HEADER: usize = 64;
    let short = || NotAModule("the file is too short");
    if elf.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(NotAModule("no 64-bit little-endian ELF"));
    }
    let table = number(elf, 0x28, 8).ok_or_else(short)?;
    let count = number(elf, 0x3c, 2).ok_or_else(short)?;
    let names_index = number(elf, 0x3e, 2).ok_or_else(short)?;
    let header = |index: usize| -> Option<(usize, &'m [u8])> {
        let at = table.checked_add(index.checked_mul(HEADER)?)?;
        let offset = number(elf, at + 0x18, 8)?;
        let end = offset.checked_add(number(elf, at + 0x20, 8)?)?;
        Some((number(elf, at, 4)?, elf.get(offset..end).unwrap_or_default()))
    };
    let (_, names) = header(names_index).ok_or_else(short)?;
    for index in 0..count {
        let (name, content) = header(index).ok_or_else(short)?;
        let name = names.get(name..).unwrap_or_default();
        if name.strip_prefix(wanted.as_bytes()).is_some_and(|rest| rest.first() == Some(&0)) {
            return Ok(content);
        }
    }
    Err(NotAModule("no .modinfo section"))
}

/// A little-endian number of `size` bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    let value = field.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
    usize::try_from(value).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A module with nothing but these strings.
    pub(crate) fn module(strings: &[&str]) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let info: Vec<u8> = strings.iter().flat_map(|s| s.bytes().chain([0])).collect();
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        let names_at = elf.len();
        elf.extend(names);
        let info_at = elf.len();
        elf.extend(&info);
        let table = elf.len();
        for (name, offset, size) in
            [(0, 0, 0), (1, info_at, info.len()), (10, names_at, names.len())]
        {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&(name as u32).to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            elf.extend(header);
        }
        elf[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        elf[0x3c] = 3;
        elf[0x3e] = 2;
        elf
    }

    #[test]
    fn strings_are_found_by_their_key() {
        let module =
            module(&["license=GPL", "depends=jbd2,mbcache", "alias=fs-ext4", "alias=ext4"]);
        assert_eq!(depends(&module).unwrap(), ["jbd2", "mbcache"]);
        assert_eq!(modinfo(&module, "alias").unwrap(), ["fs-ext4", "ext4"]);
        assert_eq!(modinfo(&module, "lias").unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn no_dependencies_are_none() {
        assert_eq!(depends(&module(&["depends="])).unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn damaged_files_are_errors_and_never_a_panic() {
        let whole = module(&["depends=a"]);
        for length in 0..whole.len() {
            let _ = depends(&whole[..length]);
        }
        assert!(depends(b"\x7fELF").is_err());
        let mut bad = whole;
        bad[0x28..0x30].fill(0xff);
        assert!(depends(&bad).is_err());
    }

    #[test]
    fn names_are_the_kernel_s() {
        assert_eq!(name("kernel/drivers/block/xen-blkback/xen-blkback.ko.xz"), "xen_blkback");
    }
}
