//! Keeps the memory of the process private: it holds secrets and tickets.

/// Forbids core dumps, and forbids other processes of the same user to read the memory. Only root may still
/// do so. Call it before a secret is read.
#[cfg(target_os = "linux")]
pub fn keep_private() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    // The limit alone is not enough: a kernel that pipes cores into a program ignores it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}

/// Only Linux can do so.
#[cfg(not(target_os = "linux"))]
pub fn keep_private() -> std::io::Result<()> {
    Ok(())
}
