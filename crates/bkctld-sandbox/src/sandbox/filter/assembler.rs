//! Classic BPF programs that decide about system calls.

use bkctld_sys::seccomp::Instruction;

pub(super) const RET_ALLOW: u32 = 0x7fff_0000;
pub(super) const RET_ERRNO: u32 = 0x0005_0000;

pub(super) const EPERM: u32 = 1;
pub(super) const ENOSYS: u32 = 38;

// `struct seccomp_data`: number, architecture, instruction pointer, six arguments of 64 bits.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*`: the machine's ELF number, 64 bits, little endian.
#[cfg(target_arch = "x86_64")]
pub(super) const AUDIT_ARCH: u32 = 62 | 0xc000_0000;
#[cfg(target_arch = "aarch64")]
pub(super) const AUDIT_ARCH: u32 = 183 | 0xc000_0000;
#[cfg(target_arch = "riscv64")]
pub(super) const AUDIT_ARCH: u32 = 243 | 0xc000_0000;
#[cfg(target_arch = "loongarch64")]
pub(super) const AUDIT_ARCH: u32 = 258 | 0xc000_0000;
#[cfg(all(target_arch = "powerpc64", target_endian = "little"))]
pub(super) const AUDIT_ARCH: u32 = 21 | 0xc000_0000;

// Operations of classic BPF.
pub(super) const LOAD: u16 = 0x20; // LD | W | ABS
pub(super) const AND: u16 = 0x54; // ALU | AND | K
pub(super) const IF_EQUAL: u16 = 0x15; // JMP | JEQ | K
pub(super) const IF_GREATER: u16 = 0x25; // JMP | JGT | K
pub(super) const IF_BITS: u16 = 0x45; // JMP | JSET | K
pub(super) const RETURN: u16 = 0x06; // RET | K

fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, if_true: 0, if_false: 0, k }
}

fn branch(code: u16, k: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction { code, if_true, if_false, k }
}

/// A jump over these. They are made of the tables of this module, all far shorter than 256.
fn over(skipped: &[Instruction]) -> u8 {
    debug_assert!(skipped.len() <= usize::from(u8::MAX), "a jump too long");
    skipped.len() as u8
}

pub(super) fn ret(value: u32) -> Instruction {
    statement(RETURN, value)
}

const REFUSE: Instruction = Instruction { code: RETURN, if_true: 0, if_false: 0, k: RET_ERRNO | EPERM };

/// The low half of an argument. All arguments that are looked at are 32 bits to the kernel, which
/// ignores the rest, but for pointers.
fn argument(index: u32) -> Instruction {
    statement(LOAD, ARGUMENTS + 8 * index)
}

/// The upper half of a pointer.
fn upper_half(index: u32) -> Instruction {
    statement(LOAD, ARGUMENTS + 8 * index + 4)
}

pub(super) struct Assembler(Vec<Instruction>);

impl Assembler {
    /// A program to which other architectures' calls and those above `last_known` do not exist.
    pub(super) fn knowing_up_to(last_known: u32) -> Assembler {
        Assembler(vec![
            statement(LOAD, ARCHITECTURE),
            branch(IF_EQUAL, AUDIT_ARCH, 1, 0),
            ret(RET_ERRNO | ENOSYS),
            // Above the known numbers lie also those of x32, which have bit 30 set.
            statement(LOAD, NUMBER),
            branch(IF_GREATER, last_known, 0, 1),
            ret(RET_ERRNO | ENOSYS),
        ])
    }

    /// A program that looks at the number only.
    pub(super) fn any() -> Assembler {
        Assembler(vec![statement(LOAD, NUMBER)])
    }

    /// Runs `body`, which must return, if the call is this one.
    pub(super) fn on(&mut self, number: u32, body: &[Instruction]) {
        self.0.push(branch(IF_EQUAL, number, 0, over(body)));
        self.0.extend_from_slice(body);
    }

    pub(super) fn refuse(&mut self, number: u32, errno: u32) {
        self.on(number, &[ret(RET_ERRNO | errno)]);
    }

    pub(super) fn refuse_if_any_bit(&mut self, number: u32, arg: u32, bits: u32) {
        self.on(number, &[argument(arg), branch(IF_BITS, bits, 0, 1), REFUSE, ret(RET_ALLOW)]);
    }

    pub(super) fn refuse_some(&mut self, number: u32, arg: u32, mask: u32, values: &[u32]) {
        let mut body = vec![argument(arg), statement(AND, mask)];
        for &value in values {
            body.extend([branch(IF_EQUAL, value, 0, 1), REFUSE]);
        }
        body.push(ret(RET_ALLOW));
        self.on(number, &body);
    }

    /// Refuses the call where `arg` is `value` and the pointer `unless_null` leads somewhere.
    pub(super) fn refuse_with_pointer(&mut self, number: u32, arg: u32, value: u32, unless_null: u32) {
        let body = [
            argument(arg),
            branch(IF_EQUAL, value, 1, 0),
            ret(RET_ALLOW),
            argument(unless_null),
            branch(IF_EQUAL, 0, 1, 0),
            REFUSE,
            upper_half(unless_null),
            branch(IF_EQUAL, 0, 1, 0),
            REFUSE,
            ret(RET_ALLOW),
        ];
        self.on(number, &body);
    }

    pub(super) fn allow_only(&mut self, number: u32, arg: u32, values: &[u32], errno: u32) {
        let mut body = vec![argument(arg)];
        body.extend(one_of(values));
        body.push(ret(RET_ERRNO | errno));
        self.on(number, &body);
    }

    /// Allows the call where the first argument that is named is one of the keys, and the second one
    /// of its values; `errnos` are for a wrong key and for a wrong value.
    pub(super) fn allow_pairs(
        &mut self,
        number: u32,
        args: (u32, u32),
        pairs: &[(u32, &[u32])],
        errnos: (u32, u32),
    ) {
        let mut body = vec![argument(args.0)];
        for (key, values) in pairs {
            let mut inner = vec![argument(args.1)];
            inner.extend(one_of(values));
            inner.push(ret(RET_ERRNO | errnos.1));
            body.push(branch(IF_EQUAL, *key, 0, over(&inner)));
            body.extend(inner);
        }
        body.push(ret(RET_ERRNO | errnos.0));
        self.on(number, &body);
    }

    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.0.push(ret(RET_ALLOW));
        self.0
    }
}

/// Allows the call if what was loaded is one of these.
fn one_of(values: &[u32]) -> impl Iterator<Item = Instruction> {
    values.iter().flat_map(|&value| [branch(IF_EQUAL, value, 0, 1), ret(RET_ALLOW)])
}
