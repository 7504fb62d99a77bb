// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the scripts of the person who installs.

use std::path::Path;

use image_formats::gpt::Role;

use super::{Run, StepError};
use crate::events::Event;
use crate::hooks::{Hooks, Stage};
use crate::plan::Plan;
use crate::program::Program;
use crate::system::{System, SystemError};

/// Where the installed root is for the script of [`Stage::Populated`].
pub const ROOT: &str = "/run/xenith/installed";
/// Where its state partition is meanwhile.
const STATE: &str = "/run/xenith/installed-state";
/// Seconds between the two signals that end a script whose time is over.
const GRACE: &str = "--kill-after=10";

/// Puts what the first start would copy where it would, and leaves what is there: see `first_boot` of
/// the initramfs, which then finds nothing to do for these files.
const FILL: &str = "tar -C \"$1\" -c var root | tar -C \"$2\" -x --skip-old-files";

impl Run<'_> {
    /// Runs a script with what it wants to know.
    pub(super) fn hook(&mut self, stage: Stage) -> Result<(), StepError> {
        let Some(program) = program(self.plan, self.hooks, stage) else { return Ok(()) };
        let script =
            self.hooks.script(stage).map(|script| script.bytes.clone()).unwrap_or_default();
        let sink = &mut *self.sink;
        self.system
            .run_script(stage, &script, &program, &mut |line| sink(Event::Said(line.to_owned())))?;
        Ok(())
    }

    /// Mounts the installed root as the host will see it, runs the script, and unmounts it again whatever
    /// the script did. Afterwards nothing keeps the disks.
    pub(super) fn populated(&mut self) -> Result<(), StepError> {
        let ran = self.mount_installed().and_then(|()| self.hook(Stage::Populated));
        let mut unmounted = Ok(());
        for target in [ROOT, STATE] {
            let program = Program::new("umount").args(["--recursive", target]);
            let result = self.system.run(&program).map(drop);
            unmounted = unmounted.and(result);
        }
        ran?;
        unmounted?;
        self.stop_arrays()
    }

    fn mount_installed(&mut self) -> Result<(), StepError> {
        let image = self.device(Role::SlotA).display().to_string();
        let state = self.device(Role::State).display().to_string();
        let mount = |args: &[&str], target: &str| {
            let mut program = Program::new("mount");
            program.args.extend(args.iter().map(|arg| (*arg).to_owned()));
            program.arg(target)
        };
        let layers =
            format!("lowerdir={ROOT}/etc,upperdir={STATE}/etc/upper,workdir={STATE}/etc/work");
        let inside = |folder: &str| format!("{ROOT}/{folder}");
        for program in [
            Program::new("mkdir").args(["-p", ROOT, STATE]),
            mount(&["-o", "ro", &image], ROOT),
            mount(&["-o", "nosuid,nodev", &state], STATE),
            Program::new("bash").args(["-e", "-o", "pipefail", "-c", FILL, "fill", ROOT, STATE]),
            mount(&["-t", "overlay", "-o", &layers, "overlay"], &inside("etc")),
            mount(&["--bind", &format!("{STATE}/var")], &inside("var")),
            mount(&["--bind", &format!("{STATE}/root")], &inside("root")),
            // For programs that a script runs by chroot.
            mount(&["--bind", "/dev"], &inside("dev")),
            mount(&["-t", "proc", "proc"], &inside("proc")),
            mount(&["-t", "sysfs", "-o", "ro", "sysfs"], &inside("sys")),
            mount(&["-t", "tmpfs", "-o", "mode=0755", "tmpfs"], &inside("run")),
            mount(&["-t", "tmpfs", "-o", "mode=1777", "tmpfs"], &inside("tmp")),
        ] {
            self.system.run(&program)?;
        }
        Ok(())
    }
}

/// Runs the script of [`Stage::Completed`], if there is one. The host is complete whatever it does.
///
/// # Errors
/// The script failed.
pub fn completed(
    plan: &Plan,
    hooks: &Hooks,
    system: &mut dyn System,
    said: &mut dyn FnMut(&str),
) -> Result<(), SystemError> {
    let (Some(script), Some(program)) =
        (hooks.script(Stage::Completed), program(plan, hooks, Stage::Completed))
    else {
        return Ok(());
    };
    system.run_script(Stage::Completed, &script.bytes, &program, said)
}

/// The command that runs a script, which lies at [`script_path`] then.
fn program(plan: &Plan, hooks: &Hooks, stage: Stage) -> Option<Program> {
    hooks.script(stage)?;
    let program = Program::new("timeout")
        .args([GRACE, &hooks.timeout.to_string(), &script_path(stage)])
        .envs(&hooks.env)
        .envs(&env(plan, stage));
    // As installers of XenServer and XCP-ng have it.
    Some(match stage {
        Stage::Before => program,
        Stage::Populated => program.arg(ROOT),
        Stage::Completed => program.arg("0"),
    })
}

/// Where a script lies while it runs.
pub fn script_path(stage: Stage) -> String {
    format!("/run/xenith/hooks/{stage}")
}

fn env(plan: &Plan, stage: Stage) -> Vec<(String, String)> {
    let mac = plan.handover.management.as_ref().map(|management| management.mac.clone());
    let path = |path: &Path| path.display().to_string();
    let mut env = vec![
        ("XENITH_STAGE", stage.name().to_owned()),
        ("XENITH_HOSTNAME", plan.hostname.as_str().to_owned()),
        ("XENITH_DISK", path(&plan.disk.path)),
        ("XENITH_BUILD_ID", plan.medium.build_id.to_string()),
        ("XENITH_MEDIUM", path(&plan.medium.path)),
    ];
    env.extend(mac.map(|mac| ("XENITH_MAC", mac)));
    if stage == Stage::Populated {
        env.push(("XENITH_ROOT", ROOT.to_owned()));
    }
    env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_the_installer_put_there_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["image/root", "image/var/lib", "state/root", "state/var/lib"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::set_permissions(path("state/root"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(path("image/var/lib/a"), "image").unwrap();
        fs::write(path("image/var/lib/b"), "image").unwrap();
        fs::write(path("state/var/lib/a"), "installer").unwrap();
        let fill = Program::new("bash").args(["-e", "-o", "pipefail", "-c", FILL, "fill"]);
        let fill = fill.arg(path("image").display().to_string());
        fill.arg(path("state").display().to_string()).run().unwrap();
        assert_eq!(fs::read_to_string(path("state/var/lib/a")).unwrap(), "installer");
        assert_eq!(fs::read_to_string(path("state/var/lib/b")).unwrap(), "image");
        let mode = fs::metadata(path("state/root")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
