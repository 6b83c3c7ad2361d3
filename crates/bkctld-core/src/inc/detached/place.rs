//! How one name that is no directory gets into the inc: as a link to the previous inc's file, as a
//! link to another name in the new inc, or as a new inode.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use bkctld_tree::stat::{Inode, ctime, names};
use rustix::fs::{AtFlags, Stat, linkat, statat};
use rustix::io::Errno;

use super::build::{Build, Halt};
use super::copy::{Failure, Skip};
use super::index::Known;
use super::links::{Claim, Placed};
use super::signature::Signature;
use super::trees::with_new;

type Here<'h, 'b> = bkctld_tree::Here<'h, Build<'b>>;

impl Build<'_> {
    /// Brings the name into the inc. Gives back what the next inc may compare the live file with;
    /// nothing where a later change might not show.
    pub(super) fn place(
        &self,
        here: &Here<'_, '_>,
        name: &CStr,
        stat: &Stat,
    ) -> Result<Option<Signature>, Halt> {
        let signature = if names(stat) > 1 {
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
        here: &Here<'_, '_>,
        name: &CStr,
        stat: &Stat,
    ) -> Result<Option<Signature>, Halt> {
        let placed = match self.links.claim(Inode::from_stat(stat)) {
            Claim::First(duty) => {
                let signature = self.place_inode(here, name, stat)?;
                duty.placed(Placed { node: here.directory.clone(), name: name.to_owned(), signature });
                return Ok(signature);
            }
            Claim::Placed(placed) => placed,
        };
        let link = |from: &std::os::fd::OwnedFd| {
            linkat(from, placed.name.as_c_str(), &here.handles.new, name, AtFlags::empty())
        };
        let linked = with_new(&placed.node, link).map_err(|error| self.cannot_reopen(error))?;
        match linked {
            // The content is what it was at the first name: only if this name saw the same may the
            // next inc compare with that.
            Ok(()) => Ok(placed.signature.filter(|&known| known == Signature::from_stat(stat))),
            Err(Errno::MLINK) => {
                let signature = self.copy(here, name, stat)?;
                let placed = Placed { node: here.directory.clone(), name: name.to_owned(), signature };
                self.links.replace(Inode::from_stat(stat), placed);
                Ok(signature)
            }
            Err(Errno::EXIST) => Err(Halt::Skip(Skip::Twice)),
            Err(error) => Err(self.halt(here.directory, name, Failure::Fatal(error.into()))),
        }
    }

    /// Takes the previous inc's file if the live one is unchanged, else makes a new one.
    fn place_inode(&self, here: &Here<'_, '_>, name: &CStr, stat: &Stat) -> Result<Option<Signature>, Halt> {
        let Some(previous) = &here.handles.previous else { return self.copy(here, name, stat) };
        let signature = Signature::from_stat(stat);
        if here.help.as_ref().and_then(|known| known.get(name)) != Some(Known::Other(signature)) {
            return self.copy(here, name, stat);
        }
        // All names of the live inode will be links to one file, and the previous inc's may have too
        // many of its own for that.
        if names(stat) > 1 && self.link_max != u64::MAX {
            match statat(previous, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(old) if names(&old) + names(stat) <= self.link_max => {}
                _ => return self.copy(here, name, stat),
            }
        }
        match linkat(previous, name, &here.handles.new, name, AtFlags::empty()) {
            Ok(()) => {
                self.tally.linked.fetch_add(1, Relaxed);
                Ok(self.settled(here, stat))
            }
            Err(Errno::EXIST) => Err(Halt::Skip(Skip::Twice)),
            // As many links as the file system allows, or somebody removed the file from the inc.
            Err(Errno::MLINK | Errno::NOENT | Errno::XDEV) => self.copy(here, name, stat),
            Err(error) => Err(self.halt(here.directory, name, Failure::Fatal(error.into()))),
        }
    }

    fn copy(&self, here: &Here<'_, '_>, name: &CStr, stat: &Stat) -> Result<Option<Signature>, Halt> {
        let copied = self
            .copier
            .copy(&here.handles.live, &here.handles.new, name, stat)
            .map_err(|failure| self.halt(here.directory, name, failure))?;
        let tally = if copied.cloned { &self.tally.cloned } else { &self.tally.copied };
        tally.fetch_add(1, Relaxed);
        self.tally.bytes.fetch_add(copied.bytes, Relaxed);
        self.progress.copied(copied.bytes);
        if let Some(error) = &copied.attributes {
            self.attributes_lost(here.directory, name, error);
        }
        if copied.changed {
            self.changed(here.directory, name);
            return Ok(None);
        }
        match copied.writers {
            Some(false) => {}
            Some(true) => {
                self.being_written(here.directory, name);
                return Ok(None);
            }
            None => return Ok(None),
        }
        Ok(self.settled(here, &copied.stat))
    }

    /// The signature, if every later change of the file will show in it: its ctime is old enough, and
    /// it is not of a subvolume, whose inode numbers are its own. (That nobody was writing has been seen
    /// when the file was copied, and who began later has changed the ctime.)
    fn settled(&self, here: &Here<'_, '_>, stat: &Stat) -> Option<Signature> {
        let of_the_subvolume =
            Inode::from_stat(stat).device == Inode::from_stat(&here.directory.notes.stat).device;
        let certain = ctime(stat) < self.settled_before && of_the_subvolume;
        certain.then(|| Signature::from_stat(stat))
    }
}
