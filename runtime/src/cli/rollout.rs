//! `quoin rollout`: try a new adapter version on a share of the traffic.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use quoin_adapters::rollout::Plan;
use serde_json::{Value, json};

use super::Setting;
use super::failure::{Context as _, Failure};
use super::output::{self, Output};
use super::transport::Client;

const RUNNING: &str = "/admin/v1/rollouts/current";

/// `quoin rollout …`
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Start: load the version, let it answer once, then in the shadow or on the first share
    Start {
        /// NAME@VERSION, or `base` for the base model without an adapter
        adapter: String,
        /// How it goes, TOML; without it, the defaults
        #[arg(long, value_name = "FILE")]
        plan: Option<PathBuf>,
        /// Start without a passed evaluation; the reason stands in the audit log
        #[arg(long, value_name = "REASON")]
        force: Option<String>,
    },
    /// How it stands: share, counts, evidence, and what it waits for
    Status {
        /// An earlier rollout
        id: Option<String>,
        /// Draw shares, evidence and events over time
        #[arg(long, value_name = "FILE.svg")]
        plot: Option<PathBuf>,
    },
    /// Send all traffic to the champion until it is resumed
    Pause(Why),
    /// Go on where it was paused
    Resume(Why),
    /// Send all traffic to the new release for good, whatever is still to be shown
    Promote(Why),
    /// Send all traffic to the champion for good
    Abort(Why),
    /// All rollouts, and the audit log, checked line by line
    History,
}

/// Why a person decides.
#[derive(Args, Debug)]
pub struct Why {
    /// Stands in the audit log
    #[arg(long)]
    reason: Option<String>,
}

impl RolloutCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// The plan cannot be read, or the request is refused.
    pub async fn run(self, setting: &Setting) -> Result<(), Failure> {
        let client = setting.client().await?;
        let result = self.ask(&client).await;
        client.close().await;
        self.print(&result?, setting.output)
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        match self {
            Self::Start {
                adapter,
                plan,
                force,
            } => {
                let mut body = json!({ "adapter": adapter, "force": force });
                if let Some(path) = plan {
                    body["plan"] = read_plan(path)?;
                }
                client.post("/admin/v1/rollouts", &body).await
            }
            Self::Status { id, plot } => {
                let path = match id {
                    Some(id) => format!("/admin/v1/rollouts/{}", super::transport::segment(id)),
                    None => RUNNING.to_owned(),
                };
                if let Some(file) = plot {
                    let svg = client.bytes(&format!("{path}/plot")).await?;
                    std::fs::write(file, svg)
                        .context(|| format!("cannot write `{}`", file.display()))?;
                }
                client.get(&path).await
            }
            Self::Pause(why) => tell(client, "pause", why).await,
            Self::Resume(why) => tell(client, "resume", why).await,
            Self::Promote(why) => tell(client, "promote", why).await,
            Self::Abort(why) => tell(client, "abort", why).await,
            Self::History => client.get("/admin/v1/rollouts").await,
        }
    }

    fn print(&self, answer: &Value, output: Output) -> Result<(), Failure> {
        match self {
            _ if output.is_json() => output.json(answer)?,
            Self::History => output.line(history(answer))?,
            _ => output.line(standing(answer))?,
        }
        // Of the audit log.
        match answer["problem"].as_str() {
            Some(problem) => Err(Failure::new(problem)),
            None => Ok(()),
        }
    }
}

async fn tell(client: &Client, word: &str, why: &Why) -> Result<Value, Failure> {
    let body = json!({ "reason": why.reason });
    client.post(&format!("{RUNNING}/{word}"), &body).await
}

fn read_plan(path: &Path) -> Result<Value, Failure> {
    let text =
        std::fs::read_to_string(path).context(|| format!("cannot read `{}`", path.display()))?;
    // As a plan first: its errors name the key and show the line.
    toml::from_str::<Plan>(&text)
        .context(|| format!("`{}` is not the plan of a rollout", path.display()))?;
    toml::from_str(&text).context(|| format!("`{}` is not TOML", path.display()))
}

/// What a person wants to know of a running rollout, a line each.
fn standing(status: &Value) -> String {
    let mut text = format!(
        "{}  {}\n{} -> {}\n",
        word(&status["id"]),
        state(&status["state"]),
        release(&status["stable"]),
        release(&status["canary"]),
    );
    let share = status["weight_basis_points"].as_f64().unwrap_or_default() / 100.0;
    let _ = writeln!(
        text,
        "share {share} %; waits for: {}",
        word(&status["waits_for"])
    );
    if let Some(left) = status["time_left_ms"].as_i64() {
        let _ = writeln!(text, "time left {}", duration(left));
    }
    let (wanted, pairs) = (&status["pairs_wanted"], &status["pairs"]);
    if wanted.as_u64().unwrap_or_default() > 0 {
        let _ = writeln!(text, "pairs in the shadow {pairs} of {wanted}");
    }
    let mut rows = vec![
        [
            "GUARDRAIL",
            "STABLE",
            "CANARY",
            "E-VALUE",
            "ABORTS AT",
            "SEEN FROM",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for guardrail in status["guardrails"].as_array().into_iter().flatten() {
        let rates = &guardrail["rates"];
        rows.push(vec![
            word(&guardrail["guardrail"]),
            rate(&rates["stable"]),
            rate(&rates["canary"]),
            short(&guardrail["e_value"]),
            short(&guardrail["limit"]),
            rates["smallest_effect"]
                .as_f64()
                .map_or_else(String::new, |effect| {
                    format!("+{:.1} points", effect * 100.0)
                }),
        ]);
    }
    text.push('\n');
    text.push_str(&output::table(&rows));
    text
}

fn history(answer: &Value) -> String {
    let mut rows = vec![
        ["TIME", "ROLLOUT", "ACTION", "SHARE", "BY", "REASON"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for line in answer["audit"].as_array().into_iter().flatten() {
        let share = line["weight"].as_f64().unwrap_or_default() / 100.0;
        rows.push(vec![
            word(&line["ts"]),
            word(&line["rollout"]),
            word(&line["action"]),
            format!("{share} %"),
            word(&line["actor"]),
            word(&line["reason"]),
        ]);
    }
    output::table(&rows)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn state(state: &Value) -> String {
    let name = word(&state["name"]);
    match (state["step"].as_u64(), state["why"].as_str()) {
        (Some(step), _) => format!("{name}, step {}", step + 1),
        (None, Some(why)) => format!("{name}: {}", why.replace('_', " ")),
        (None, None) => match state["why"].as_object() {
            Some(why) => {
                let words = why.values().filter_map(Value::as_str);
                let why: Vec<String> = words.map(|word| word.replace('_', " ")).collect();
                format!("{name}: {}", why.join(" "))
            }
            None => name,
        },
    }
}

fn release(side: &Value) -> String {
    let digest = word(&side["release"]);
    let short = digest.get(..15).unwrap_or(&digest);
    format!("{} ({short})", side["adapter"].as_str().unwrap_or("base"))
}

fn rate(rate: &Value) -> String {
    format!("{}/{}", rate["events"], rate["units"]).replace("null/null", "")
}

fn short(number: &Value) -> String {
    let number = number.as_f64().unwrap_or_default();
    if number >= 1000.0 {
        format!("{number:.1e}")
    } else {
        format!("{number:.2}")
    }
}

fn duration(ms: i64) -> String {
    let minutes = ms / 60_000;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{} s", ms / 1000),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}
