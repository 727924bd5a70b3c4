//! Whether what was packaged can be installed and removed: in namespaces and directories of their own,
//! by the package's scripts and by the command lines of the manifests.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use yaml_rust2::{Yaml, YamlLoader};

use crate::{dist, run, workspace};

const DEB: &str = include_str!("deb.sh");
const NODE: &str = include_str!("node.sh");

/// Installs, upgrades and removes `package` below `work`.
pub(super) fn package(package: &Path, work: &Path) -> Result<()> {
    dist::empty_directory(work)?;
    run::run(alone(DEB, work)?.arg(package).arg(work.join("root")))
}

/// Runs the containers of the manifests with the programs in `bin`, below `work`.
pub(super) fn manifests(bin: &Path, work: &Path) -> Result<()> {
    dist::empty_directory(work)?;
    let folder = workspace::root().join("packaging");
    fs::create_dir(work.join("config"))?;
    // By the name that the comment of install.yaml gives it.
    let network = work.join("config/90-cais.conflist");
    fs::copy(folder.join("kubernetes/network.conflist"), network)?;
    let mut script = NODE.to_owned();
    for (file, check) in [("install.yaml", "is_installed"), ("uninstall.yaml", "is_gone")] {
        let path = folder.join("kubernetes").join(file);
        let text = fs::read_to_string(&path)?;
        let calls = calls(&text).with_context(|| format!("read {}", path.display()))?;
        script.push_str(&format!("{calls}{check}\n"));
    }
    let entry = entry_point(&fs::read_to_string(folder.join("image/Containerfile"))?)?;
    run::run(alone(&script, work)?.arg(bin).arg(work).arg(entry))
}

/// `sh` with `script`, as root of namespaces that nobody else is in.
fn alone(script: &str, work: &Path) -> Result<Command> {
    let path = work.join("script.sh");
    fs::write(&path, script).with_context(|| format!("write {}", path.display()))?;
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "sh"]);
    command.arg(path).env("PATH", run::path_with_sbin());
    Ok(command)
}

/// What the image runs, which has to be where its programs are copied to.
fn entry_point(containerfile: &str) -> Result<String> {
    let after = |word| containerfile.lines().find_map(|line| line.strip_prefix(word));
    let entry = after("ENTRYPOINT ").context("the image has no entry point")?;
    let words: Vec<String> = serde_json::from_str(entry).context("read the entry point")?;
    let [program] = words.as_slice() else { bail!("{entry} is more than a program") };
    match after("COPY bin/ ").is_some_and(|folder| program.starts_with(folder)) {
        true => Ok(program.clone()),
        false => bail!("{program} is not among what the image holds"),
    }
}

/// The calls of `container` of node.sh that stand for the containers of a manifest.
fn calls(manifest: &str) -> Result<String> {
    let documents = YamlLoader::load_from_str(manifest)?;
    let [document] = documents.as_slice() else { bail!("not one object") };
    let pod = &document["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_vec().context("no volumes")?;
    let list = |key: &str| pod[key].as_vec().into_iter().flatten();
    list("initContainers").chain(list("containers")).map(|c| call(c, volumes)).collect()
}

fn call(container: &Yaml, volumes: &[Yaml]) -> Result<String> {
    let name = text(&container["name"])?;
    let security = &container["securityContext"];
    let mode = if security["readOnlyRootFilesystem"] == Yaml::Boolean(true) { "ro" } else { "rw" };
    let mut words = vec!["container".to_owned(), mode.to_owned(), rights(security)?];
    for mount in container["volumeMounts"].as_vec().into_iter().flatten() {
        let of = |volume: &&Yaml| volume["name"] == mount["name"];
        let volume = volumes.iter().find(of).with_context(|| format!("{name}: no {mount:?}"))?;
        let from = match (&volume["hostPath"]["path"], &volume["configMap"], &volume["emptyDir"]) {
            (Yaml::String(path), ..) => format!("$node{path}"),
            (_, Yaml::Hash(_), _) => "$work/config".to_owned(),
            (.., Yaml::Hash(_)) => "$work/empty".to_owned(),
            _ => bail!("{name}: what is {volume:?}?"),
        };
        let only = if mount["readOnly"] == Yaml::Boolean(true) { ":ro" } else { "" };
        words.push(format!("\"{from}:{}{only}\"", text(&mount["mountPath"])?));
    }
    words.push("--".to_owned());
    for argument in container["args"].as_vec().with_context(|| format!("{name}: no args"))? {
        words.push(format!("'{}'", text(argument)?));
    }
    Ok(words.join(" ") + "\n")
}

/// Which capabilities it may have, as setpriv(1) takes them; one more is for changing the root.
fn rights(security: &Yaml) -> Result<String> {
    let capabilities = &security["capabilities"];
    if capabilities["drop"].as_vec().is_none() {
        return Ok("+all".to_owned());
    }
    let mut rights = "-all,+sys_chroot".to_owned();
    for capability in capabilities["add"].as_vec().into_iter().flatten() {
        rights.push_str(&format!(",+{}", text(capability)?.to_lowercase()));
    }
    Ok(rights)
}

fn text(value: &Yaml) -> Result<&str> {
    value.as_str().with_context(|| format!("{value:?} is no text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_called_with_its_volumes_rights_and_arguments() {
        let manifest = "
            spec: { template: { spec: {
              containers: [{
                name: a, args: [install, --stay],
                securityContext: { readOnlyRootFilesystem: true,
                                   capabilities: { drop: [ALL], add: [DAC_OVERRIDE] } },
                volumeMounts: [{ name: n, mountPath: /network, readOnly: true },
                               { name: b, mountPath: /host/bin }] }],
              volumes: [{ name: b, hostPath: { path: /opt } }, { name: n, configMap: { name: x } }]
            } } }";
        let expected = "container ro -all,+sys_chroot,+dac_override \"$work/config:/network:ro\" \
                        \"$node/opt:/host/bin\" -- 'install' '--stay'\n";
        assert_eq!(calls(manifest).unwrap(), expected);
        assert!(calls(&manifest.replace("name: b, host", "name: c, host")).is_err());
    }

    #[test]
    fn the_entry_point_is_among_what_the_image_holds() {
        let of = |text: &str| entry_point(text).ok();
        let good = "FROM scratch\nCOPY bin/ /opt/\nENTRYPOINT [\"/opt/cais\"]\n";
        assert_eq!(of(good).as_deref(), Some("/opt/cais"));
        assert_eq!(of(&good.replace("COPY bin/ /opt/", "COPY bin/ /bin/")), None);
    }
}
