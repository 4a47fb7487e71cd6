//! The lives of one log: processes that are killed one after another, until one comes to its end.

use crate::audit::{Audit, Ends, assert_stores, ends};
use crate::figures::{Figures, Phase};
use crate::process::{Process, bytes, run, temporary};
use crate::setting::{Setting, Store};
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};
use suiro::{Result, Seed};

/// A run that nobody disturbed.
pub struct Undisturbed {
    pub audit: Audit,
    exports: Vec<(String, String)>,
    took: Duration,
    /// How large the log was when the inputs were there, and at the end.
    loaded: u64,
    logged: u64,
    exported: u64,
}

/// The runs that nobody disturbed, each made once.
#[derive(Default)]
pub struct References(Vec<(Setting, Rc<Undisturbed>)>);

impl References {
    /// The run that has the outputs of `setting`.
    pub fn of(&mut self, setting: Setting) -> Result<Rc<Undisturbed>> {
        let plain = setting.reference();
        if let Some((_, run)) = self.0.iter().find(|(other, _)| *other == plain) {
            return Ok(Rc::clone(run));
        }
        let run = Rc::new(Undisturbed::run(plain)?);
        self.0.push((plain, Rc::clone(&run)));
        Ok(run)
    }
}

impl Undisturbed {
    fn run(setting: Setting) -> Result<Self> {
        let place = temporary();
        let (dir, out) = (place.path().join("log"), place.path().join("out"));
        let begun = Instant::now();
        let mut process = Process::start(&setting.args(&dir, &out));
        // The program makes its own topics when its inputs are there.
        let loaded = process.wait_until(|| has_state(&dir)).then(|| logged(&dir));
        process.finish().assert_success();
        let took = begun.elapsed();
        let audit = Audit::read(setting, &dir)?;
        let exports = exports(&out);
        let (logged, exported) = (logged(&dir), bytes(&out));
        let loaded = loaded.unwrap_or(0).min(logged);
        Ok(Self { audit, exports, took, loaded, logged, exported })
    }
}

/// Whether there are topics of the program itself.
fn has_state(dir: &Path) -> bool {
    let names = fs::read_dir(dir.join("topics")).into_iter().flatten().flatten();
    names.into_iter().any(|name| name.file_name().to_string_lossy().ends_with(".changelog"))
}

/// How large the log itself is, without what lies beside it.
pub fn logged(dir: &Path) -> u64 {
    bytes(&dir.join("topics")) + bytes(&dir.join("journal"))
}

/// The exported files but that of the table, whose rows on the way depend on the commits; each
/// with its lines in order.
fn exports(out: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(out).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).expect("an export is text");
            let mut lines: Vec<_> = text.lines().collect();
            lines.sort_unstable();
            (entry.file_name().into_string().expect("names are text"), lines.join("\n"))
        })
        .filter(|(name, _)| !name.starts_with("airline-totals"))
        .collect();
    files.sort_unstable();
    files
}

/// When a process is killed.
enum Moment {
    /// After some time.
    After(Duration),
    /// When so much is in the log.
    Logged(u64),
    /// When so much is exported.
    Exported(u64),
}

impl Moment {
    /// A third of the moments are any time, also that of starting; most others come while the
    /// program works, and some when it is nearly done.
    fn draw(seed: &mut Seed, whole: &Undisturbed, dir: &Path) -> Self {
        let now = logged(dir).min(whole.logged);
        let work = now.max(whole.loaded);
        match seed.below(12) {
            0..4 => {
                let most = whole.took.as_micros() as u64;
                Self::After(Duration::from_micros(seed.below(most + most / 8)))
            }
            4 => Self::Logged(now + seed.below(whole.logged - now + 1)),
            5 if whole.exported > 0 => Self::Exported(1 + seed.below(whole.exported)),
            5 => Self::Logged(whole.logged - seed.below(whole.logged / 32)),
            _ => Self::Logged(work + 1 + seed.below(whole.logged - work + 1)),
        }
    }

    /// Waits for it; no, if the process ends before.
    fn wait(&self, process: &mut Process, dir: &Path, out: &Path) -> bool {
        let begun = Instant::now();
        process.wait_until(|| match self {
            Self::After(time) => begun.elapsed() >= *time,
            Self::Logged(goal) => logged(dir) >= *goal,
            Self::Exported(goal) => bytes(out) >= *goal,
        })
    }
}

/// Lets a log be worked on by processes that are killed, at most `kills` of them, and then by one
/// that comes to its end; the outputs are those of an undisturbed run.
pub fn survive(
    setting: Setting,
    (kills, seed): (usize, u64),
    references: &mut References,
    figures: &mut Figures,
) -> Result<()> {
    let whole = references.of(setting)?;
    let place = temporary();
    let (dir, out) = (place.path().join("log"), place.path().join("out"));
    let args = setting.args(&dir, &out);
    let case = format!("{setting:?}, seed {seed}");
    let mut seed = Seed::new(seed);
    let cell = figures.cell(setting.program, setting.store);
    for _ in 0..kills.min(3 + seed.below(10) as usize) {
        let before = ends(&dir);
        let mut process = Process::start(&args);
        cell.lives += 1;
        if !Moment::draw(&mut seed, &whole, &dir).wait(&mut process, &dir, &out) {
            let ended = process.finish();
            assert_eq!(ended.code, Some(0), "{case}: {}", ended.said);
            if seed.one_in(2) {
                break;
            }
        } else if process.kill() {
            cell.killed(phase(setting, &dir, &before, &whole));
        }
        if setting.store == Store::Disk && seed.one_in(6) {
            cell.stores_deleted += usize::from(fs::remove_dir_all(dir.join("state")).is_ok());
        }
        if setting.snapshots && seed.one_in(6) {
            let deleted = fs::remove_dir_all(dir.join("snapshots")).is_ok();
            cell.snapshots_deleted += usize::from(deleted);
        }
    }
    cell.lives += 1;
    let ended = run(&args);
    assert_eq!(ended.code, Some(0), "{case}: {}", ended.said);
    cell.logs += 1;
    cell.compared += Audit::read(setting, &dir)?.assert_same(&whole.audit, &case);
    assert!(exports(&out) == whole.exports, "exported files differ, {case}");
    cell.rows += assert_stores(setting, &dir, &case)?;
    if seed.one_in(4) {
        let before = ends(&dir);
        run(&args).assert_success();
        cell.lives += 1;
        assert_eq!(ends(&dir), before, "a run after the end wrote, {case}");
    }
    Ok(())
}

/// Where the process was that was killed. The log is only read, so that the next process finds
/// it as the kill has left it.
fn phase(setting: Setting, dir: &Path, before: &Ends, whole: &Undisturbed) -> Phase {
    let now = ends(dir);
    let last = setting.program.last_input();
    let length = |ends: &Ends| -> i64 {
        ends.iter().filter(|((topic, _), _)| topic == last).map(|(_, end)| end).sum()
    };
    let has_state = |ends: &Ends| {
        ends.iter().any(|((topic, _), end)| topic.ends_with(".changelog") && *end > 0)
    };
    if length(&now) < whole.audit.count(last) as i64 {
        Phase::Loading
    } else if !has_state(&now) {
        Phase::Starting
    } else if Audit::read(setting, dir).is_ok_and(|audit| audit.is_whole(&whole.audit)) {
        Phase::Ending
    } else if now == *before {
        Phase::Restoring
    } else {
        Phase::Running
    }
}
