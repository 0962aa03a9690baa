//! A control group (cgroups(7), version 2) of a run's own, where the machine lets us make one.
//!
//! In it the kernel itself keeps the memory limit, also against a burst between two looks, and ends
//! everything at once. It is made only for a run that has a memory limit: to move a process into a
//! group takes the kernel some milliseconds. Where there is none, the run has a session alone, and
//! [`watch`](super::watch) keeps its limit.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The group of one run; removed when it is dropped, which is after everything in it has ended.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one with a memory limit; none if that is not allowed here.
    pub fn make(name: &str, memory_kib: u64) -> Option<Cgroup> {
        let own = own()?;
        // Only groups beside ours can have limits that ours is not made for.
        let beside = own.parent().filter(|parent| keeps_memory(parent));
        let places = beside.into_iter().chain([own.as_path()]);
        places
            .map(|place| place.join(format!("spore-{}-{name}", std::process::id())))
            .find_map(|path| Cgroup::at(path, memory_kib))
    }

    fn at(path: PathBuf, memory_kib: u64) -> Option<Cgroup> {
        fs::create_dir(&path).ok()?;
        let group = Cgroup { path };
        // Where the memory controller is not given to us, the group is still good for ending it all.
        for (file, value) in [
            ("memory.max", (memory_kib * 1024).to_string()),
            ("memory.swap.max", "0".to_owned()),
            ("memory.oom.group", "1".to_owned()),
        ] {
            let _ = group.write(file, &value);
        }
        group.path.join("cgroup.kill").exists().then_some(group)
    }

    /// The file into which a process writes `0` to come into the group.
    pub fn entrance(&self) -> Option<File> {
        let path = self.path.join("cgroup.procs");
        OpenOptions::new().write(true).open(path).ok()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends everything in it, at once.
    pub fn kill(&self) {
        let _ = self.write("cgroup.kill", "1");
    }

    /// Whether the kernel ended something in it for want of memory.
    pub fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        kills.is_some_and(|count| count != "0")
    }

    fn write(&self, file: &str, value: &str) -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path.join(file))?;
        file.write_all(value.as_bytes())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Whether groups below this one have memory limits.
fn keeps_memory(group: &Path) -> bool {
    let controllers = fs::read_to_string(group.join("cgroup.subtree_control"));
    controllers.is_ok_and(|text| text.split_ascii_whitespace().any(|name| name == "memory"))
}

/// The group that this process is in.
fn own() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (root, point) = mounts.lines().find_map(mount)?;
    let below = Path::new(group).strip_prefix(root).ok()?;
    Some(Path::new(point).join(below))
}

/// What is mounted of the groups' file system, and where; none for a line about another one.
fn mount(line: &str) -> Option<(&str, &str)> {
    let (here, there) = line.split_once(" - ")?;
    if there.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = here.split(' ').skip(3);
    Some((fields.next()?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_the_groups_is_found_among_others() {
        let own = "34 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mount(own), Some(("/", "/sys/fs/cgroup")));
        let old = "25 24 0:22 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        assert_eq!((mount(old), mount("")), (None, None));
    }
}
