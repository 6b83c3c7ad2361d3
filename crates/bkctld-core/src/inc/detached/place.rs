//! How one name that is no directory gets into the inc: as a link to the previous inc's file, as a
//! link to another name in the new inc, or as a new inode.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use rustix::fs::{AtFlags, Stat, linkat, statat};
use rustix::io::Errno;

use super::copy::{Failure, Skip};
use super::index::Known;
use super::links::{Claim, Placed};
use super::signature::{Signature, ctime};
use super::tree::{Build, Halt, Here};

impl Build<'_> {
    /// Brings the name into the inc. Gives back what the next inc may compare the live file with;
    /// nothing where a later change might not show.
    pub(super) fn place(&self, here: &Here<'_>, name: &CStr, stat: &Stat) -> Result<Option<Signature>, Halt> {
        let signature = if stat.st_nlink > 1 {
            self.place_one_of_several(here, name, stat)?
        } else {
            self.place_inode(here, name, stat)?
        };
        self.tally.files.fetch_add(1, Relaxed);
        self.progress.file();
        Ok(signature)
    }

    fn place_one_of_several(
        &self,
        here: &Here<'_>,
        name: &CStr,
        stat: &Stat,
    ) -> Result<Option<Signature>, Halt> {
        let placed = match self.links.claim(stat) {
            Claim::First(turn) => {
                let signature = self.place_inode(here, name, stat)?;
                turn.placed(Placed { node: here.node.clone(), name: name.to_owned(), signature });
                return Ok(signature);
            }
            Claim::Placed(placed) => placed,
        };
        let link = |from: &std::os::fd::OwnedFd| {
            linkat(from, placed.name.as_c_str(), &here.open.new, name, AtFlags::empty())
        };
        let linked = placed.node.with_new(link).map_err(|lost| self.lost(lost))?;
        match linked {
            // The content is what it was at the first name: only if this name saw the same may the
            // next inc compare with that.
            Ok(()) => Ok(placed.signature.filter(|&known| known == Signature::of(stat))),
            Err(Errno::MLINK) => {
                let signature = self.copy(here, name, stat)?;
                let placed = Placed { node: here.node.clone(), name: name.to_owned(), signature };
                self.links.replace(stat, placed);
                Ok(signature)
            }
            Err(Errno::EXIST) => Err(Halt::Skip(Skip::Twice)),
            Err(error) => Err(self.halt(here.node, name, Failure::Fatal(error.into()))),
        }
    }

    /// Takes the previous inc's file if the live one is unchanged, else makes a new one.
    fn place_inode(&self, here: &Here<'_>, name: &CStr, stat: &Stat) -> Result<Option<Signature>, Halt> {
        let Some(prev) = &here.open.prev else { return self.copy(here, name, stat) };
        let signature = Signature::of(stat);
        if here.known.and_then(|known| known.get(name)) != Some(Known::Other(signature)) {
            return self.copy(here, name, stat);
        }
        // All names of the live inode will be links to one file, and the previous inc's may have too
        // many of its own for that.
        #[allow(clippy::unnecessary_cast)] // the type differs from one architecture to the next
        if stat.st_nlink > 1 && self.link_max != u64::MAX {
            match statat(prev, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(old) if old.st_nlink as u64 + stat.st_nlink as u64 <= self.link_max => {}
                _ => return self.copy(here, name, stat),
            }
        }
        match linkat(prev, name, &here.open.new, name, AtFlags::empty()) {
            Ok(()) => {
                self.tally.linked.fetch_add(1, Relaxed);
                Ok(self.settled(here, stat))
            }
            Err(Errno::EXIST) => Err(Halt::Skip(Skip::Twice)),
            // As many links as the file system allows, or somebody removed the file from the inc.
            Err(Errno::MLINK | Errno::NOENT | Errno::XDEV) => self.copy(here, name, stat),
            Err(error) => Err(self.halt(here.node, name, Failure::Fatal(error.into()))),
        }
    }

    fn copy(&self, here: &Here<'_>, name: &CStr, stat: &Stat) -> Result<Option<Signature>, Halt> {
        let copied = self
            .copier
            .copy(&here.open.live, &here.open.new, name, stat)
            .map_err(|failure| self.halt(here.node, name, failure))?;
        let tally = if copied.cloned { &self.tally.cloned } else { &self.tally.copied };
        tally.fetch_add(1, Relaxed);
        self.tally.bytes.fetch_add(copied.bytes, Relaxed);
        self.progress.copied(copied.bytes);
        if let Some(error) = &copied.attributes {
            self.attributes_lost(here.node, name, error);
        }
        if copied.changed {
            self.changed(here.node, name);
            return Ok(None);
        }
        match copied.writers {
            Some(false) => {}
            Some(true) => {
                self.being_written(here.node, name);
                return Ok(None);
            }
            None => return Ok(None),
        }
        Ok(self.settled(here, &copied.stat))
    }

    /// The signature, if every later change of the file will show in it: its ctime is old enough, and
    /// it is not of a subvolume, whose inode numbers are its own. (That nobody was writing has been seen
    /// when the file was copied, and who began later has changed the ctime.)
    fn settled(&self, here: &Here<'_>, stat: &Stat) -> Option<Signature> {
        let certain = ctime(stat) < self.settled_before && stat.st_dev == here.node.stat.st_dev;
        certain.then(|| Signature::of(stat))
    }
}
