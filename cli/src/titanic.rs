//! `candle-explain titanic`: the Titanic walkthrough from training to attributions, tracked by MLflow.

use std::path::{Path, PathBuf};

use candle_explain::attr::{IntegratedGradients, LayerConductance, NeuronConductance};
use candle_explain::engine::{Attribute, Attributions, Series, Target};
use candle_explain::file::{cannot_write, write_whole};
use candle_explain::model::Sequential;
use candle_explain::render::{Figure, Row};
use candle_explain::tabular::{Dataset, Split, Titanic, Trainer, neuron_names};
use candle_explain::{Result, Seed, error};
use candle_explain_server::Archive;

use crate::console::say;
use crate::tracking::{Destination, Mlflow, Patience, Report};

const MODEL: &str = "titanic";
const LAYER: &str = "sigmoid1";
const NEURON: usize = 0;
const SURVIVED: Target = Target::Class(1);
const EPOCHS_BETWEEN_LOSSES: usize = 50;
const BINS: usize = 100;
/// With 50 steps the conductance of most rows would not converge.
const TOLERANCE: f64 = 1e-3;

/// Trains the Titanic network, attributes its predictions, and logs the run to MLflow
///
/// The run is logged to the server that MLFLOW_TRACKING_URI names, with the variables of MLflow's own
/// client. Pictures, summaries and the model are always written into the folder first.
///
/// The exit status is 0 if all went well, or no server was named; 1 if training failed, or the
/// server did not take the whole run; 2 if the arguments cannot be read.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many times training goes through the whole table
    #[arg(long = "max_epochs", alias = "max-epochs", default_value_t = 100)]
    max_epochs: usize,
    /// The learning rate of Adam
    #[arg(long, default_value_t = 0.1)]
    lr: f64,
    /// Whether to use the weights that come with the crate instead of training
    #[arg(
        long = "use_pretrained_model",
        alias = "use-pretrained-model",
        default_value = "False",
        action = clap::ArgAction::Set,
        value_parser = truth
    )]
    use_pretrained_model: bool,
    /// The seed of the initial weights
    #[arg(long, default_value_t = Seed::default().0)]
    seed: u32,
    /// The folder for pictures, summaries and the model
    #[arg(long, default_value = "outputs")]
    artifacts: PathBuf,
}

fn truth(text: &str) -> std::result::Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("expected True or False".to_string()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let destination = Mlflow::from_environment(Patience::default())?;
    let mut report = Report::new(&arguments.artifacts)?;
    let passengers = Titanic::load()?;
    say(passengers.source());
    let (train, test) = passengers.split(Split::Stratified { test: 0.3, seed: 42 })?;
    let epochs = if arguments.use_pretrained_model { 0 } else { arguments.max_epochs };
    report.param("epochs", epochs);
    report.param("lr", arguments.lr);
    report.param("use_pretrained_model", arguments.use_pretrained_model);
    report.param("Train Size", train.len());
    report.param("Test Size", test.len());
    let network =
        if arguments.use_pretrained_model { Titanic::pretrained()? } else { trained(&train, arguments, &mut report)? };
    let (fitted, held_out) = (train.accuracy(&network)?, test.accuracy(&network)?);
    say(format!(
        "accuracy {fitted:.4} on the {} training rows, {held_out:.4} on the {} others",
        train.len(),
        test.len()
    ));
    report.metric("Train Accuracy", fitted, epochs);
    report.metric("Test Accuracy", held_out, epochs);
    text(&mut report, "model_summary.txt", network.text())?;
    attribute(&network, &test, &mut report)?;
    keep_model(&network, &mut report)?;
    report.save()?;
    say(format!("{} files in {}", report.artifacts().len() + 1, report.folder().display()));
    log(&report, &destination)
}

fn trained(train: &Dataset, arguments: &Arguments, report: &mut Report) -> Result<Sequential> {
    let network = Titanic::network(Seed(arguments.seed))?;
    let history = Trainer::adam(arguments.lr).epochs(arguments.max_epochs).fit(&network, train)?;
    let losses = history.losses().iter().enumerate().map(|(epoch, loss)| (epoch + 1, *loss));
    for (epoch, loss) in
        losses.filter(|(epoch, _)| epoch % EPOCHS_BETWEEN_LOSSES == 0 || *epoch == arguments.max_epochs)
    {
        say(format!("epoch {epoch}: loss {loss:.4}"));
        report.metric("Train Loss", loss, epoch);
    }
    Ok(network)
}

/// Attributes survival to the features, to the neurons of a layer, and to the features for one neuron.
fn attribute(network: &Sequential, test: &Dataset, report: &mut Report) -> Result<()> {
    let features = test.features();
    let importance = IntegratedGradients::new(network).tolerance(TOLERANCE).attribute(&features, SURVIVED)?;
    let mean = importance.mean()?;
    picture(
        report,
        "Average Feature Importances.png",
        &mean.bars(test.feature_names())?.title("Average Feature Importances"),
    )?;
    let sibsp = importance.column("sibsp")?;
    let by_value = sibsp.binned_scatter(&test.column("sibsp")?, 6)?;
    picture(report, "Average_Sibsp_Feature_Value.png", &by_value)?;
    summary(report, "feature_imp_summary.txt", &importance, &mean)?;
    metrics(report, test.feature_names(), &mean);

    let conductance = LayerConductance::new(network, LAYER).tolerance(TOLERANCE).attribute(&features, SURVIVED)?;
    let mean = conductance.mean()?;
    let names = neuron_names(mean.len());
    let bars = mean.bars(names.clone())?.title("Average Neuron Importances").axes("", "conductance");
    picture(report, "Average Neuron Importances.png", &bars)?;
    let strongest = mean.ranking();
    picture(report, "Neurons_Distribution.png", &distributions(&conductance, &strongest[..2])?)?;
    let mean = mean.with_labels(names.iter())?;
    summary(report, "neuron_imp_summary.txt", &conductance, &mean)?;
    metrics(report, names, &mean);

    let neuron = NeuronConductance::new(network, LAYER, NEURON).tolerance(TOLERANCE).attribute(&features, SURVIVED)?;
    summary(report, &format!("Avg_Feature_Importances_Neuron_{NEURON}.txt"), &neuron, &neuron.mean()?)
}

/// The histograms of some neurons' conductance, side by side.
fn distributions(conductance: &Attributions, neurons: &[usize]) -> Result<Row> {
    neurons.iter().try_fold(Row::default(), |row, neuron| {
        let column = conductance.column(*neuron)?;
        row.with(column.histogram(BINS)?.title(format!("Neuron {neuron}")).axes("conductance", "passengers"))
    })
}

fn metrics(report: &mut Report, names: Vec<String>, mean: &Series) {
    for (name, value) in names.into_iter().zip(mean.values()) {
        report.metric(name, *value, 0);
    }
}

fn picture(report: &mut Report, name: &str, figure: &impl Figure) -> Result<()> {
    report.artifact(name, |path| figure.save(path))
}

fn text(report: &mut Report, name: &str, content: String) -> Result<()> {
    report.artifact(name, |path| {
        write_whole(path, |temporary| std::fs::write(temporary, content + "\n").map_err(|e| cannot_write(path, e)))
    })
}

/// What was attributed, how well it converged, and each mean.
fn summary(report: &mut Report, name: &str, attributions: &Attributions, mean: &Series) -> Result<()> {
    let lines = mean.labels().iter().zip(mean.values()).map(|(label, value)| format!("{label}: {value:.6}"));
    let remarks = attributions.remarks().into_iter();
    let head = format!(
        "{} of {}, mean over {} rows",
        attributions.method(),
        attributions.places().join(", "),
        attributions.batch_size()
    );
    text(report, name, std::iter::once(head).chain(lines).chain(remarks).collect::<Vec<_>>().join("\n"))
}

/// The weights, and the archive that the server takes.
fn keep_model(network: &Sequential, report: &mut Report) -> Result<()> {
    let weights = report.folder().join("model/titanic.safetensors");
    report.artifact("model/titanic.safetensors", |path| network.save(path))?;
    report.artifact("model/titanic.mar", |path| {
        let archive = Archive::new(MODEL, "1.0", MODEL, &weights)?;
        archive.write(path.parent().unwrap_or(Path::new(".")), true).map(drop)
    })
}

/// Logs the run to its destination. The files are kept even if this fails.
fn log(report: &Report, destination: &Destination) -> Result<()> {
    let mlflow = match destination {
        Destination::Server(mlflow) => mlflow,
        Destination::Folder(why) => {
            say(format!("nothing was logged to MLflow: {why}"));
            return Ok(());
        }
    };
    let logged = mlflow.log(report, MODEL).map_err(|e| {
        error!(File, "MLflow does not have the whole run; all of its files are in {}: {e}", report.folder().display())
    })?;
    let version = logged.version.map(|version| format!(", model {MODEL} version {version}")).unwrap_or_default();
    say(format!("logged to MLflow as run {} of experiment {}{version}", logged.run, logged.experiment));
    Ok(())
}
