//! One run from beginning to end: start, look, end, judge, write down.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::agents::Line;
use super::cgroup::Cgroup;
use super::judge::{self, Cause, Evidence, Exit};
use super::outcome::{Outcome, Word};
use super::policy::{Follow, Policy};
use super::prompt::{self, Around, Given};
use super::reader::Reader;
use super::record::{self, Directory, Start};
use super::watch::{Glance, Limits, Watch};
use super::{Error, process};
use crate::event::{Effect, Event, Phase, Signs, Then, What};
use crate::swarm::config::PromptBy;
use crate::swarm::hold::{Hold, Holds, How, Whom};
use crate::swarm::lease::Wanted;
use crate::swarm::{Holder, Journal, Repository, Root, journal, lease};
use crate::workspace::progress::{self, Mark, Progress};
use crate::workspace::{self, Tree, environment, locks};

/// How one run is to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// The task.
    pub task: Given,
    /// The task as it was given.
    pub raw: Vec<u8>,
    /// The command line.
    pub line: Line,
    /// A template for the prompt.
    pub template: Option<String>,
    /// When it is ended.
    pub limits: Limits,
    /// How long processes are given to end by themselves.
    pub grace: Duration,
    /// How often signs of life are noted.
    pub beat: Duration,
    /// How long a claim holds from each sign of life on.
    pub lease: Duration,
    /// Whether what is left uncommitted is committed.
    pub harvest: bool,
    /// Whether the tree must change.
    pub wants_change: bool,
    /// Whether the end is reported for the task too, and after how many failures a person is asked.
    pub report: Option<u32>,
    /// What follows then, where it is not the usual.
    pub policy: Policy,
}

/// Signals that we wait for.
#[derive(Debug)]
pub struct Signals {
    pipes: [(i32, UnixStream); 4],
}

impl Signals {
    /// Listens from now on: to the ends of children, and to being told to stop.
    pub fn listen() -> io::Result<Signals> {
        let open = |signal: i32| -> io::Result<(i32, UnixStream)> {
            let (reader, writer) = UnixStream::pair()?;
            reader.set_nonblocking(true)?;
            writer.set_nonblocking(true)?;
            signal_hook::low_level::pipe::register(signal, writer)?;
            Ok((signal, reader))
        };
        Ok(Signals {
            pipes: [open(SIGCHLD)?, open(SIGTERM)?, open(SIGINT)?, open(SIGHUP)?],
        })
    }

    /// Waits for one of them, for at most that long; the ones that came.
    fn wait(&mut self, at_most: Duration) -> Vec<i32> {
        let mut fds: Vec<PollFd<'_>> = self
            .pipes
            .iter()
            .map(|(_, pipe)| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN))
            .collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(at_most.subsec_nanos()),
        };
        let _ = poll(&mut fds, Some(&timeout));
        let mut came = Vec::new();
        for (signal, pipe) in &mut self.pipes {
            let mut bytes = [0; 64];
            while pipe.read(&mut bytes).is_ok_and(|count| count > 0) {
                if came.last() != Some(signal) {
                    came.push(*signal);
                }
            }
        }
        came
    }
}

/// What came of it, and whether its claim was reported as over or done.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What came of it.
    pub outcome: Outcome,
    /// With [`Request::report`]: what followed for the task.
    pub reported: Option<What>,
    /// Runs of the same agent whose `agent-run` had been killed, settled before this one.
    pub settled: Vec<Outcome>,
}

/// Runs a command on a task in a tree.
///
/// # Errors
/// Nothing was started: [`Error::Busy`], [`Error::Late`]; or something could not be written.
pub fn run(
    root: &Root,
    tree: &Tree,
    request: &Request,
    signals: &mut Signals,
) -> Result<Finished, Error> {
    let agent = tree.identity.agent.to_string();
    let Some(_lock) = record::lock(tree)? else {
        return Err(Error::Busy(agent));
    };
    let mut journal = Journal::open(root)?;
    let mut settled = Vec::new();
    for (run, known) in record::lost(&journal) {
        if known.agent == agent {
            let grace = request.grace;
            settled.extend(record::settle(
                root,
                &mut journal,
                &run,
                &known,
                Some(tree),
                grace,
            )?);
        }
    }
    if let Some(hold) = held(&Holds::read(root)?, &agent, &request.task.id) {
        return Err(Error::Held(hold.to_string()));
    }
    let claim = claim_of(&journal, &request.task, &agent)?;
    let mark = Mark::of(tree, request.line.litter)?;
    let (directory, start) = begin(root, tree, request, &mut journal, &claim, &mark)?;
    let zone = jiff::tz::TimeZone::system();
    // Made before they are read.
    directory.transcript("transcript.out")?;
    directory.transcript("transcript.err")?;
    let mut run = Run {
        heard: Heard {
            out: Tail::open(directory.file("transcript.out")),
            err: Tail::open(directory.file("transcript.err")),
            reader: Reader::new(request.line.stream, zone.clone()),
        },
        root,
        tree,
        request,
        journal,
        directory,
        start,
        claim,
        watch: Watch::new(request.limits.clone()),
        began: Instant::now(),
        began_at: SystemTime::now(),
        frozen: None,
        still: Duration::ZERO,
        beats: 0,
        beaten: Duration::ZERO,
        renewed: Instant::now(),
        cpu_ms: 0,
        cgroup: None,
    };
    let ended = run.carry_out(signals)?;
    let (outcome, reported) = run.conclude(&mark, ended, &zone)?;
    Ok(Finished {
        outcome,
        reported,
        settled,
    })
}

/// What keeps an agent or its task from going on, the strongest.
fn held<'a>(holds: &'a Holds, agent: &str, task: &str) -> Option<&'a Hold> {
    let both = [holds.on_agent(agent), holds.on_task(task)];
    both.into_iter().flatten().max_by_key(|hold| hold.how)
}

/// The claim that a run works by.
#[derive(Debug, Clone)]
struct Claim {
    task: String,
    epoch: u64,
    correlation_id: String,
}

/// The claim of the task, if it has one; refuses one that is over.
fn claim_of(journal: &Journal, task: &Given, agent: &str) -> Result<Option<Claim>, Error> {
    let known = journal.state().tasks.get(&task.id);
    let Some(known) = known.filter(|_| !task.id.is_empty()) else {
        return match task.epoch {
            Some(epoch) => Err(Error::Late {
                task: task.id.clone(),
                why: format!("the journal knows no claim {epoch} of it"),
            }),
            None => Ok(None),
        };
    };
    let epoch = task.epoch.unwrap_or(known.epoch);
    let mine = matches!(&known.phase, Phase::Claimed { agent: with, .. } if with == agent);
    if !mine || !known.holds(epoch) {
        if task.epoch.is_none() {
            return Ok(None);
        }
        return Err(Error::Late {
            task: task.id.clone(),
            why: format!("claim {epoch} of {agent} is over"),
        });
    }
    Ok(Some(Claim {
        task: task.id.clone(),
        epoch,
        correlation_id: known.correlation_id.clone(),
    }))
}

/// Names the run, makes its directory, writes down what begins.
fn begin(
    root: &Root,
    tree: &Tree,
    request: &Request,
    journal: &mut Journal,
    claim: &Option<Claim>,
    mark: &Mark,
) -> Result<(Directory, Start), Error> {
    let agent = tree.identity.agent.to_string();
    let task = (!request.task.id.is_empty()).then(|| request.task.id.clone());
    let correlation_id = match claim {
        Some(claim) => claim.correlation_id.clone(),
        None if request.task.correlation_id.is_empty() => uuid::Uuid::new_v4().to_string(),
        None => request.task.correlation_id.clone(),
    };
    let handover = match &task {
        Some(task) => record::handover(root, journal, task),
        None => String::new(),
    };
    let holder = Holder::me().to_string();
    let began_at = journal::now();
    let epoch = claim.as_ref().map(|claim| claim.epoch);
    let event = |what| Event {
        at: began_at.clone(),
        correlation_id: correlation_id.clone(),
        what,
    };
    let directory = record::begin(root, journal, &agent, |state, run| {
        let began = event(What::RunBegan {
            run: run.to_owned(),
            agent: agent.clone(),
            task: task.clone(),
            epoch,
            command: request.line.name.clone(),
            holder: holder.clone(),
        });
        // Who will report the end holds the claim: it is free at once if we are killed.
        let held = claim
            .as_ref()
            .filter(|_| request.report.is_some())
            .map(|claim| {
                let me = Holder::me();
                let renew = lease::renewal(&claim.task, request.lease, Some(&me));
                event(renew(&state.task(&claim.task), claim.epoch))
            });
        std::iter::once(began).chain(held).collect()
    })?;
    let run = directory
        .path()
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let around = Around {
        agent: &agent,
        branch: tree.identity.branch.as_deref().unwrap_or_default(),
        handover: &handover,
        wants_change: request.wants_change,
    };
    let prompt = match &request.template {
        Some(template) => prompt::fill(template, &request.task, &around),
        None => prompt::build(&request.task, &around),
    };
    directory.write("task.json", &request.raw)?;
    directory.write("prompt", prompt.as_bytes())?;
    let start = Start {
        v: 1,
        r#type: "run".to_owned(),
        run,
        agent,
        task,
        epoch,
        correlation_id,
        command: request.line.name.clone(),
        argv: request.line.run.clone(),
        worktree: tree.path.clone(),
        base: mark.head.clone(),
        holder,
        session: None,
        leader: None,
        cgroup: None,
        began_at,
    };
    directory.write_start(&start)?;
    Ok((directory, start))
}

/// A run under way.
struct Run<'a> {
    root: &'a Root,
    tree: &'a Tree,
    request: &'a Request,
    journal: Journal,
    directory: Directory,
    start: Start,
    claim: Option<Claim>,
    heard: Heard,
    watch: Watch,
    began: Instant,
    /// The same on the clock that files carry.
    began_at: SystemTime,
    /// Since when it stands still, if it does, and how long it did before.
    frozen: Option<Instant>,
    still: Duration,
    beats: u64,
    /// When the last sign of life was noted.
    beaten: Duration,
    /// When the claim was last made to hold on.
    renewed: Instant,
    /// Processor time of all that has ended, in milliseconds.
    cpu_ms: u64,
    cgroup: Option<Cgroup>,
}

/// A transcript that is read as it grows.
struct Tail {
    file: Option<File>,
    read: u64,
    last: Vec<u8>,
}

impl Tail {
    /// How much of its end is kept for judging.
    const KEPT: usize = 16 * 1024;

    fn open(path: PathBuf) -> Tail {
        Tail {
            file: File::open(path).ok(),
            read: 0,
            last: Vec::new(),
        }
    }

    /// Hands what is new to `each`; at most so much that a flood does not keep us from looking at
    /// the clock.
    fn follow(&mut self, mut each: impl FnMut(&[u8])) -> bool {
        const AT_ONCE: u64 = 8 * 1024 * 1024;
        let Some(file) = &mut self.file else {
            return false;
        };
        let length = file.metadata().map_or(0, |meta| meta.len());
        if length <= self.read || file.seek(SeekFrom::Start(self.read)).is_err() {
            return false;
        }
        let mut bytes = vec![0; 64 * 1024];
        let mut taken = 0;
        while let Ok(count) = file.read(&mut bytes) {
            if count == 0 || taken >= AT_ONCE {
                break;
            }
            let new = &bytes[..count];
            each(new);
            self.last.extend_from_slice(new);
            if self.last.len() > 4 * Self::KEPT {
                self.last.drain(..self.last.len() - Self::KEPT);
            }
            self.read += count as u64;
            taken += count as u64;
        }
        true
    }

    fn end(&self) -> String {
        let from = self.last.len().saturating_sub(Self::KEPT);
        String::from_utf8_lossy(&self.last[from..]).into_owned()
    }
}

/// What was told on standard output and standard error.
struct Heard {
    out: Tail,
    err: Tail,
    reader: Reader,
}

impl Heard {
    fn listen(&mut self) -> bool {
        let reader = &mut self.reader;
        let out = self.out.follow(|bytes| reader.take(bytes));
        let err = self.err.follow(|bytes| reader.take_error(bytes));
        out || err
    }

    fn bytes(&self) -> u64 {
        self.out.read + self.err.read
    }
}

/// How a run ended: the exit, why we ended it, and how many processes were left behind.
type Ended = (Exit, Option<Cause>, usize);

impl Run<'_> {
    /// Starts the command and stays with it until nothing of it is left.
    fn carry_out(&mut self, signals: &mut Signals) -> Result<Ended, Error> {
        process::become_reaper();
        let used_before = process::waited_for_ms();
        let limit = self.request.limits.memory_kib;
        self.cgroup = limit.and_then(|kib| Cgroup::make(&self.start.run, kib));
        let entrance = self.cgroup.as_ref().and_then(Cgroup::entrance);
        let main = match process::start(&mut self.command()?, entrance) {
            Ok(main) => main,
            Err(exit) => return Ok((exit, None, 0)),
        };
        self.start.session = Some(main);
        self.start.leader = Some(Holder::of(main).to_string());
        self.start.cgroup = self.cgroup.as_ref().map(|group| group.path().to_owned());
        // From here on nothing that cannot be written may keep us from watching; without this, the
        // orphans of a killed agent-run are known by their environment alone.
        drop(self.directory.write_start(&self.start));
        let mut cause = None;
        let mut asked: Option<Instant> = None;
        let mut checked = Instant::now();
        let exit = loop {
            let came = signals.wait(self.watch.pause(self.now()));
            if let (Some(exit), _) = process::reap(main) {
                break exit;
            }
            let told_to_stop = came.into_iter().find(|signal| *signal != SIGCHLD);
            let mut reason = self.look(self.now());
            if checked.elapsed() >= Duration::from_secs(1) {
                checked = Instant::now();
                let told = self.told_by_others(asked.is_none());
                reason = reason.or(told.unwrap_or_default());
                // A sign that cannot be noted now is noted later.
                drop(self.beat(self.now()));
            }
            reason = told_to_stop.map(Cause::Signal).or(reason);
            match (asked, reason) {
                (None, Some(reason)) => {
                    // A hog is not given time to take more.
                    match reason {
                        Cause::Memory(..) => self.kill(main),
                        _ => process::ask_to_end(main),
                    }
                    cause = Some(reason);
                    asked = Some(Instant::now());
                }
                (Some(since), _) if since.elapsed() >= self.request.grace => self.kill(main),
                (Some(_), _) if told_to_stop.is_some() => self.kill(main),
                _ => {}
            }
        };
        let grace = match asked {
            Some(since) => self.request.grace.saturating_sub(since.elapsed()),
            None => self.request.grace,
        };
        let (left, _) = process::end_descendants(main, grace);
        if let (Some(group), Some(kib)) = (&self.cgroup, limit)
            && group.ran_out_of_memory()
        {
            cause = cause.or(Some(Cause::Memory(kib, kib)));
        }
        self.heard.listen();
        self.heard.reader.finish();
        self.look(self.now());
        self.cpu_ms = process::waited_for_ms().saturating_sub(used_before);
        Ok((exit, cause, if asked.is_some() { 0 } else { left }))
    }

    /// Time from the beginning, without that in which it stood still.
    fn now(&self) -> Duration {
        let until = self.frozen.unwrap_or_else(Instant::now);
        until.duration_since(self.began).saturating_sub(self.still)
    }

    /// Kills the command and everything that it started.
    fn kill(&self, main: u32) {
        if let Some(group) = &self.cgroup {
            group.kill();
        }
        process::kill_all(main);
    }

    /// Lets the run stand still, or go on. Time that it stands still counts for no limit.
    fn freeze(&mut self, wanted: bool) {
        match (wanted, self.frozen) {
            (true, frozen) => {
                // Also what was started at the last look.
                process::freeze();
                self.frozen = frozen.or_else(|| Some(Instant::now()));
            }
            (false, Some(since)) => {
                process::thaw();
                self.still += since.elapsed();
                self.frozen = None;
            }
            (false, None) => {}
        }
    }

    /// The command, ready to start.
    fn command(&self) -> Result<Command, Error> {
        let line = &self.request.line;
        let prompt_file = self.directory.file("prompt");
        let text = |path: &std::path::Path| Some(path.to_string_lossy().into_owned());
        let repository = Repository::find(&self.tree.path).map_err(Error::at(&self.tree.path))?;
        let git_dir = repository.map(|repository| repository.common_dir);
        let git_dir = git_dir.as_ref();
        let prompt = match line.prompt {
            PromptBy::Argument => {
                let prompt = fs::read(&prompt_file).map_err(Error::at(&prompt_file))?;
                Some(String::from_utf8_lossy(&prompt).into_owned())
            }
            PromptBy::Stdin | PromptBy::File => None,
        };
        let limits = &self.request.limits;
        let mut writable = vec![self.root.path().to_string_lossy().into_owned()];
        if let Some(git_dir) = git_dir.filter(|_| line.harvest) {
            writable.push(git_dir.to_string_lossy().into_owned());
        }
        writable.extend(line.writable.iter().map(|dir| expanded(dir)));
        let arguments = line.arguments(
            &[
                ("{prompt}", prompt),
                ("{file}", text(&prompt_file)),
                ("{worktree}", text(&self.tree.path)),
                ("{git_dir}", git_dir.and_then(|dir| text(dir))),
                ("{run_dir}", text(self.directory.path())),
                ("{max_turns}", limits.turns.map(|turns| turns.to_string())),
                ("{max_usd}", limits.usd.map(|usd| usd.to_string())),
            ],
            &writable,
        );
        let Some((program, arguments)) = arguments.split_first() else {
            return Err(Error::NoCommand);
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.tree.path);
        for name in line.without {
            command.env_remove(name);
        }
        // A git that called us must not lead the agent's git to another repository.
        for name in workspace::git::MISLEADING {
            command.env_remove(name);
        }
        self.give_environment(&mut command)?;
        command.envs(&line.env);
        command.stdin(match line.prompt {
            PromptBy::Stdin => {
                Stdio::from(File::open(&prompt_file).map_err(Error::at(&prompt_file))?)
            }
            PromptBy::Argument | PromptBy::File => Stdio::null(),
        });
        command.stdout(self.directory.transcript("transcript.out")?);
        command.stderr(self.directory.transcript("transcript.err")?);
        Ok(command)
    }

    /// Who it is, on what it works, and where its own things are.
    fn give_environment(&self, command: &mut Command) -> Result<(), Error> {
        let agent = self.tree.identity.agent.as_str();
        let temporary = environment::temporary(self.root, agent);
        self.root.make_dir(&temporary)?;
        command.envs(environment::variables(self.root, &self.tree.identity));
        command.env("SPORE_RUN", &self.start.run);
        match &self.start.task {
            Some(task) => command.env("SPORE_TASK", task),
            None => command.env_remove("SPORE_TASK"),
        };
        match self.start.epoch {
            Some(epoch) => command.env("SPORE_EPOCH", epoch.to_string()),
            None => command.env_remove("SPORE_EPOCH"),
        };
        Ok(())
    }

    /// Reads what was written, looks at the processes if it is time, and holds that against the
    /// limits.
    fn look(&mut self, now: Duration) -> Option<Cause> {
        self.heard.listen();
        let sample = self.watch.wants_sample(now).then(process::sample);
        let told = self.heard.reader.told();
        self.watch.take(Glance {
            at: now,
            bytes: self.heard.bytes(),
            sample,
            turns: told.turns,
            tokens: told.tokens,
            usd: told.usd,
        })
    }

    /// Why the swarm wants the run to end: somebody stopped it, or its claim is over. One that is to
    /// stand still does, unless it was asked to end.
    fn told_by_others(&mut self, goes_on: bool) -> Result<Option<Cause>, Error> {
        let holds = Holds::read(self.root)?;
        let task = self.start.task.clone().unwrap_or_default();
        let hold = held(&holds, &self.start.agent, &task);
        if let Some(hold) = hold.filter(|hold| hold.how == How::Stop) {
            return Ok(Some(Cause::Halt(hold.to_string())));
        }
        if goes_on {
            self.freeze(holds.freeze(&self.start.agent, &task));
        }
        let Some(claim) = &self.claim else {
            return Ok(None);
        };
        self.journal.catch_up()?;
        let holds = self.journal.state().task(&claim.task).holds(claim.epoch);
        Ok((!holds).then_some(Cause::ClaimOver))
    }

    /// Notes that the run is alive, and lets its claim hold on, if there was a sign of life since
    /// that was last noted. The claim of one that has to stand still holds on without.
    fn beat(&mut self, now: Duration) -> Result<(), Error> {
        let due = self.renewed.elapsed() >= self.request.beat;
        let signs = now >= self.beaten + self.request.beat && self.watch.sign() > self.beaten;
        if !(signs || due && self.frozen.is_some()) {
            return Ok(());
        }
        let event = |what| Event {
            at: journal::now(),
            correlation_id: self.start.correlation_id.clone(),
            what,
        };
        let alive = event(What::RunAlive {
            run: self.start.run.clone(),
            n: self.beats + 1,
            signs: self.watch.signs(),
        });
        let (claim, length) = (&self.claim, self.request.lease);
        let holder = self.request.report.map(|_| Holder::me());
        self.journal.change(|state| {
            let renewed = claim.as_ref().map(|claim| {
                let renew = lease::renewal(&claim.task, length, holder.as_ref());
                event(renew(&state.task(&claim.task), claim.epoch))
            });
            let alive = signs.then_some(alive);
            (alive.into_iter().chain(renewed).collect(), ())
        })?;
        self.renewed = Instant::now();
        if signs {
            self.beaten = now;
            self.beats += 1;
        }
        Ok(())
    }

    /// Looks at the tree, judges, and writes everything down.
    fn conclude(
        &mut self,
        mark: &Mark,
        ended: Ended,
        zone: &jiff::tz::TimeZone,
    ) -> Result<(Outcome, Option<What>), Error> {
        let (exit, cause, left_behind) = ended;
        // Everything that the run started has ended.
        locks::free(self.tree, self.began_at);
        let mut progress = mark.since(self.tree)?;
        let (harvested, unharvested) = match self.harvest(&mut progress, mark) {
            Ok(commit) => (commit, String::new()),
            Err(why) => (None, format!("; it could not be committed: {why}")),
        };
        let told = self.heard.reader.told();
        let verdict = judge::judge(&Evidence {
            exit: exit.clone(),
            cause,
            told,
            streams: self.request.line.stream.is_records(),
            out: &self.heard.out.end(),
            err: &self.heard.err.end(),
            work: record::work(&progress),
            wants_change: self.request.wants_change,
            harvested: harvested.is_some(),
            now: jiff::Timestamp::now(),
            zone,
        });
        let mut signs = self.watch.signs();
        signs.cpu_ms = signs.cpu_ms.max(self.cpu_ms);
        signs.processes = 0;
        let outcome = Outcome {
            run: self.start.run.clone(),
            word: verdict.word,
            exit: verdict.exit,
            reason: verdict.reason + &unharvested,
            agent: self.start.agent.clone(),
            task: self.start.task.clone(),
            epoch: self.start.epoch,
            command: self.start.command.clone(),
            correlation_id: self.start.correlation_id.clone(),
            retry_at: verdict.retry_at.map(|time| format!("{time:.0}")),
            child_exit: match exit {
                Exit::Status(status) => Some(status),
                _ => None,
            },
            child_signal: match exit {
                Exit::Signal(signal) => Some(signal),
                _ => None,
            },
            base: mark.head.clone(),
            head: progress.head.clone(),
            commits: progress.commits,
            files: progress.files,
            insertions: progress.insertions,
            deletions: progress.deletions,
            uncommitted: progress.uncommitted,
            harvested,
            confined: match self.cgroup {
                Some(_) => "cgroup",
                None => "session",
            }
            .to_owned(),
            left_behind: u32::try_from(left_behind).unwrap_or(u32::MAX),
            turns: told.turns,
            tokens: told.tokens,
            cost_usd: told.usd,
            began_at: self.start.began_at.clone(),
            ended_at: journal::now(),
            wall_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            cpu_ms: signs.cpu_ms,
            peak_mem_kib: self.watch.peak_kib(),
            output_bytes: self.heard.bytes(),
            said: self.last_words(),
        };
        let branch = self.tree.identity.branch.clone().unwrap_or_default();
        let handover = record::write_handover(&outcome, &progress, &branch);
        self.directory.write_outcome(&outcome, &handover)?;
        let reported = self.report(&outcome, signs)?;
        Ok((outcome, reported))
    }

    /// Commits what was left, if that is wanted and there is something; the commit.
    fn harvest(&self, progress: &mut Progress, mark: &Mark) -> Result<Option<String>, Error> {
        let wanted = self.request.harvest || self.request.line.harvest;
        if !wanted || progress.uncommitted == 0 || progress.operation.is_some() {
            return Ok(None);
        }
        let commit = progress::harvest(self.tree, mark, &self.harvest_message())?;
        if commit.is_some() {
            *progress = mark.since(self.tree)?;
        }
        Ok(commit)
    }

    /// A subject, and trailers that say from whom and from which run it is (git-interpret-trailers(1)).
    fn harvest_message(&self) -> String {
        let title = self.request.task.title();
        let subject = match &self.start.task {
            Some(task) => format!("{task}: {title}"),
            None => title.to_owned(),
        };
        let subject: String = subject.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut text = format!(
            "{}\n\nLeft uncommitted, and committed on behalf of the agent.\n\nAgent: {}\n",
            super::short(&subject, 68),
            self.start.agent
        );
        if let Some(task) = &self.start.task {
            text.push_str(&format!("Task: {task}\n"));
        }
        text.push_str(&format!("Run: {}\n", self.start.run));
        text
    }

    /// What the agent said last, or the last lines of a command that only prints.
    fn last_words(&self) -> Option<String> {
        const LINES: usize = 20;
        if let Some(said) = &self.heard.reader.told().said {
            return Some(super::short(said.trim(), 2000));
        }
        if self.request.line.stream.is_records() && self.heard.reader.told().events > 0 {
            return None;
        }
        let out = self.heard.out.end();
        let lines: Vec<&str> = out.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        (!last.trim().is_empty()).then(|| super::short(last.trim(), 2000))
    }

    /// Notes the end of the run, and what follows for its task if that is wanted; both at once.
    fn report(&mut self, outcome: &Outcome, signs: Signs) -> Result<Option<What>, Error> {
        let end = record::end_event(outcome, signs);
        let (claim, retries) = (&self.claim, self.request.report);
        let mut park = false;
        let (effects, follows) = self.journal.change(|state| {
            let follows = claim.as_ref().zip(retries).map(|(claim, retries)| {
                let known = state.task(&claim.task);
                let follow = self.request.policy.follow(outcome.word, known.failures);
                park = follow == Some(Follow::Reroute { park: true });
                let report = lease::Report {
                    exit: outcome.exit,
                    stopped: outcome.word == Word::Stopped,
                    wanted: follow.map(|follow| match follow {
                        Follow::Retry => Wanted::Then(Then::Retry),
                        Follow::Human => Wanted::Then(Then::Human),
                        Follow::Later => Wanted::Then(Then::Later),
                        Follow::Reroute { .. } => Wanted::Reroute,
                    }),
                    why: &outcome.reason,
                    retry_at: outcome.retry_at.as_deref(),
                    commit: outcome.head.as_deref(),
                    run: &outcome.run,
                };
                let agent = &self.start.agent;
                Event {
                    at: journal::now(),
                    correlation_id: outcome.correlation_id.clone(),
                    what: lease::follow_up(
                        &claim.task,
                        agent,
                        claim.epoch,
                        &known,
                        retries,
                        &report,
                    ),
                }
            });
            let what = follows.as_ref().map(|event| event.what.clone());
            (std::iter::once(end).chain(follows).collect(), what)
        })?;
        if park {
            self.park(outcome)?;
        }
        Ok(follows.filter(|_| effects.get(1) == Some(&Effect::Applied)))
    }

    /// Lets this agent begin nothing until its limit ends.
    fn park(&self, outcome: &Outcome) -> Result<(), Error> {
        let whom = Whom::Agent(self.start.agent.clone());
        let mut hold = Hold::new(How::Pause, whom);
        hold.until = outcome.retry_at.clone().or_else(lease::after_a_pause);
        hold.by = Some(outcome.run.clone());
        hold.why = Some(format!("{}: {}", outcome.word, outcome.reason));
        hold.correlation_id = Some(outcome.correlation_id.clone());
        Ok(Holds::set(self.root, hold)?)
    }
}

/// A directory as `swarm.toml` names it: `~` is the home directory.
fn expanded(directory: &std::path::Path) -> String {
    let text = directory.to_string_lossy();
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest).to_string_lossy().into_owned(),
        _ => text.into_owned(),
    }
}
