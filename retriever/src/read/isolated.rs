//! Files of formats that only large libraries read, in a child process with limits on memory, time and output: one that hangs, overflows
//! its stack or asks for all memory costs one error. Without a program for the child, in this process.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::{Block, ReadDocument, Stated, read_file};
use crate::RetrieverError;
use crate::document::Format;
use crate::settings::Limits;

/// Children at once.
const MAX_CHILDREN: usize = 2;
/// How often a child is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// A child that is told the limit ends by itself; this long after it, it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// JSON of a text may be this much larger than the text, as may its outline.
const OUTPUT_FACTOR: usize = 8;

/// Goes to the child before the file's bytes, as JSON on one line.
#[derive(Serialize, Deserialize)]
struct Order {
    format: Format,
    limits: Limits,
}

/// Comes back.
#[derive(Serialize, Deserialize)]
enum Answer {
    Read {
        text: String,
        outline: Vec<Block>,
        title: Option<String>,
        warnings: Vec<String>,
    },
    Refused(String),
}

/// Reads a file within its limits, whatever it does.
pub(super) fn read(
    format: Format,
    bytes: Vec<u8>,
    limits: &Limits,
    command: Option<&[OsString]>,
) -> Result<ReadDocument, RetrieverError> {
    match command {
        Some([program, arguments @ ..]) => {
            let _turn = Turn::wait();
            let mut command = Command::new(program);
            command.args(arguments);
            in_child(command, format, bytes, limits)
        }
        _ => caught(format, &bytes, limits),
    }
}

/// The libraries panic on files that are damaged.
fn caught(format: Format, bytes: &[u8], limits: &Limits) -> Result<ReadDocument, RetrieverError> {
    catch_unwind(AssertUnwindSafe(|| read_file(format, bytes, limits)))
        .unwrap_or_else(|_| Err(unreadable(format, "the file is damaged")))
}

fn unreadable(format: Format, problem: impl Into<String>) -> RetrieverError {
    RetrieverError::Unreadable {
        format: format.name(),
        problem: problem.into(),
    }
}

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// One of the children that may run at once.
struct Turn;

impl Turn {
    fn wait() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = ENDED
            .wait_while(running, |running| *running >= MAX_CHILDREN)
            .unwrap_or_else(PoisonError::into_inner);
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

/// A child that is killed when nobody waits for it any more.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_child(
    mut command: Command,
    format: Format,
    bytes: Vec<u8>,
    limits: &Limits,
) -> Result<ReadDocument, RetrieverError> {
    let failed = |error: std::io::Error| {
        tracing::error!(%error, "the process that reads files cannot be started");
        unreadable(format, "the process that reads it could not be started")
    };
    let order = Order {
        format,
        limits: limits.clone(),
    };
    let mut head = serde_json::to_vec(&order).map_err(|error| failed(error.into()))?;
    head.push(b'\n');
    let child = command
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    let mut child = Reaped(child);
    let (input, output) = (child.0.stdin.take(), child.0.stdout.take());
    // A child that ends early closes the pipe: its answer says why.
    let writing = thread::spawn(move || {
        input.map(|mut input| {
            input
                .write_all(&head)
                .and_then(|()| input.write_all(&bytes))
        })
    });
    let most = limits.text_bytes.saturating_mul(OUTPUT_FACTOR) as u64;
    let reading = thread::spawn(move || {
        let mut answer = Vec::new();
        let read = output.map(|output| output.take(most).read_to_end(&mut answer));
        read.map(|read| read.map(|_| answer))
    });
    let deadline = Instant::now() + limits.read_time + GRACE;
    while !reading.is_finished() {
        if Instant::now() > deadline {
            return Err(RetrieverError::TooLarge {
                what: "reading a document",
                limit: milliseconds(limits.read_time),
                got: milliseconds(limits.read_time + GRACE),
                unit: "ms",
            });
        }
        thread::sleep(LOOK);
    }
    drop(child);
    let _ = writing.join();
    let answer = reading.join().ok().flatten().and_then(Result::ok);
    let answer = answer.and_then(|answer| serde_json::from_slice(&answer).ok());
    match answer {
        Some(Answer::Read {
            text,
            outline,
            title,
            warnings,
        }) => Ok(ReadDocument {
            text,
            outline,
            stated: Stated {
                title,
                ..Stated::default()
            },
            warnings,
        }),
        Some(Answer::Refused(problem)) => Err(unreadable(format, problem)),
        None => Err(unreadable(
            format,
            format!(
                "the process that read it ended early: damaged, or more than {} bytes of memory were needed",
                limits.reader_memory_bytes
            ),
        )),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The child's whole life: one order and one file on stdin, one answer on stdout. For a program that is started as
/// [`crate::RetrieverSettings::reader_command`] says; it must have done nothing else before.
///
/// # Errors
/// Nothing sensible came on stdin, or nobody listens on stdout.
pub fn read_worker() -> std::io::Result<()> {
    let mut input = std::io::stdin().lock();
    let order = order(&mut input)?;
    confine(&order.limits)?;
    let mut bytes = Vec::new();
    let most = order.limits.document_bytes as u64;
    input.take(most).read_to_end(&mut bytes)?;
    std::panic::set_hook(Box::new(|_| {}));
    let answer = match caught(order.format, &bytes, &order.limits) {
        Ok(read) => Answer::Read {
            text: read.text,
            outline: read.outline,
            title: read.stated.title,
            warnings: read.warnings,
        },
        Err(RetrieverError::Unreadable { problem, .. }) => Answer::Refused(problem),
        Err(error) => Answer::Refused(error.to_string()),
    };
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, &answer)?;
    output.flush()
}

fn order(input: &mut impl Read) -> std::io::Result<Order> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 64 << 10 {
        input.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => break,
            [byte] => line.push(byte),
        }
    }
    Ok(serde_json::from_slice(&line)?)
}

/// Limits that this process cannot lift again.
fn confine(limits: &Limits) -> std::io::Result<()> {
    let seconds = limits.read_time.as_secs() + GRACE.as_secs();
    for (resource, most) in [
        (Resource::As, limits.reader_memory_bytes),
        (Resource::Cpu, seconds),
        (Resource::Fsize, 0),
        (Resource::Nofile, 16),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}
