//! The container and what deploys it: what the image is built from is what the program needs, and the
//! manifests say what the documents say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use secrecy::ExposeSecret as _;
use serval_connect::config::{Config, Environment};
use yaml_rust2::{Yaml, YamlLoader};

use crate::docs::lacks_only_what_is_to_be_filled_in;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn yaml(name: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

/// What a path of keys leads to.
fn at<'a>(yaml: &'a Yaml, path: &str) -> &'a Yaml {
    path.split('.').fold(yaml, |here, key| match key.parse() {
        Ok(index @ 0..=99_usize) => &here[index],
        _ => &here[key],
    })
}

fn texts(yaml: &Yaml) -> Vec<&str> {
    let list = yaml.as_vec().into_iter().flatten();
    list.map(|item| item.as_str().unwrap()).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// A path without its detours.
fn straight(path: &Path) -> PathBuf {
    let mut straight = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            straight.pop();
        } else {
            straight.push(part);
        }
    }
    straight
}

#[test]
fn the_image_is_built_from_all_that_the_program_includes() {
    let dockerfile = read("Dockerfile");
    let ignore = read(".dockerignore");
    let copied: Vec<&str> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .filter(|line| !line.starts_with("--from"))
        .flat_map(|line| line.split(' ').rev().skip(1))
        .collect();
    for folder in &copied {
        let kept = format!("!{folder}");
        assert!(ignore.lines().any(|line| line == kept), "{folder}");
    }
    let mut included = 0;
    for file in files_below(&root().join("src")) {
        let is_test = file
            .iter()
            .any(|part| part == "tests" || part == "tests.rs");
        if is_test || file.extension().is_none_or(|ext| ext != "rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for opening in ["include_str!(\"", "include_bytes!(\"", "migrate!(\""] {
            for rest in text.split(opening).skip(1) {
                let name = rest.split('"').next().unwrap();
                let base = if opening.starts_with("migrate") {
                    root()
                } else {
                    file.parent().unwrap()
                };
                let path = straight(&base.join(name));
                let inside = path.strip_prefix(root()).unwrap();
                let is_copied = copied.iter().any(|folder| inside.starts_with(folder));
                assert!(is_copied, "{} needs {}", file.display(), inside.display());
                included += 1;
            }
        }
    }
    assert!(included > 3, "the search has lost its way: {included}");

    // Cargo reads no manifest whose targets are missing: empty ones are made for the first build.
    let cargo: toml::Table = read("Cargo.toml").parse().unwrap();
    for kind in ["bin", "test", "bench", "example"] {
        let targets = cargo.get(kind).and_then(toml::Value::as_array);
        for target in targets.into_iter().flatten() {
            let path = target["path"].as_str().unwrap();
            assert!(dockerfile.contains(path), "{kind} {path}");
        }
    }
}

#[test]
fn the_image_runs_without_root_and_asks_itself_for_its_health() {
    let dockerfile = read("Dockerfile");
    for line in [
        "USER 65532:65532",
        "VOLUME [\"/data\"]",
        "EXPOSE 8080 8081",
        "STOPSIGNAL SIGTERM",
        "    CMD [\"/usr/local/bin/serval-connect\", \"healthcheck\"]",
        "ENTRYPOINT [\"/usr/local/bin/serval-connect\"]",
        "CMD [\"serve\"]",
    ] {
        assert!(dockerfile.lines().any(|own| own == line), "{line}");
    }
    // Neither image is fixed: each is an argument with a default.
    for line in dockerfile.lines().filter(|line| line.starts_with("FROM")) {
        assert!(line.starts_with("FROM ${"), "{line}");
    }
}

#[test]
fn the_services_of_compose_are_hardened_and_the_rehearsal_is_ready_for_serve() {
    let text = read("compose.yaml");
    let [compose] = <[Yaml; 1]>::try_from(yaml("compose.yaml")).unwrap();
    let hardened = &compose["x-hardened"];
    assert_eq!(hardened["read_only"].as_bool(), Some(true));
    assert_eq!(texts(&hardened["cap_drop"]), ["ALL"]);
    assert_eq!(texts(&hardened["security_opt"]), ["no-new-privileges:true"]);
    let services = compose["services"].as_hash().unwrap();
    assert_eq!(services.len(), 3);
    assert_eq!(text.matches("<<: *hardened").count(), services.len());
    for name in ["rehearsal", "mock-serval"] {
        let service = &compose["services"][name];
        assert_eq!(texts(&service["profiles"]), ["rehearsal"], "{name}");
    }

    let rehearsal = compose["services"]["rehearsal"]["environment"]
        .as_hash()
        .unwrap();
    let image = [
        ("SERVAL_CONNECT__SERVER__LISTEN", "0.0.0.0:8080"),
        ("SERVAL_CONNECT__ADMIN__LISTEN", "0.0.0.0:8081"),
    ];
    let variables = rehearsal
        .iter()
        .map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap()));
    let environment: Environment = variables.chain(image).collect();
    let loaded = Config::load(&[], &environment).unwrap();
    loaded.validate_for_serve().unwrap();
    assert_eq!(loaded.config.sources.len(), 2);
}

#[test]
fn the_replicas_of_compose_are_hardened_and_read_the_password_from_a_file() {
    let [compose] = <[Yaml; 1]>::try_from(yaml("compose.postgres.yaml")).unwrap();
    let replica = &compose["x-replica"];
    assert_eq!(replica["read_only"].as_bool(), Some(true));
    assert_eq!(texts(&replica["cap_drop"]), ["ALL"]);
    assert_eq!(texts(&replica["security_opt"]), ["no-new-privileges:true"]);
    assert!(replica["volumes"].as_vec().unwrap().len() == 1);
    let text = read("compose.postgres.yaml");
    assert_eq!(text.matches("<<: *replica").count(), 2);
    let variable = |name: &str| replica["environment"][name].as_str().unwrap();
    let url = variable("SERVAL_CONNECT__DATABASE__URL");
    let file = variable("SERVAL_CONNECT__DATABASE__PASSWORD_FILE");
    let server = &compose["services"]["postgres"]["environment"];
    assert_eq!(server["POSTGRES_PASSWORD_FILE"].as_str(), Some(file));
    let (user, name) = (&server["POSTGRES_USER"], &server["POSTGRES_DB"]);
    let (user, name) = (user.as_str().unwrap(), name.as_str().unwrap());
    let own = format!("postgres://{user}@postgres:5432/{name}?");
    assert!(url.starts_with(&own), "{url}");
    let secret = Path::new(file).file_name().unwrap().to_str().unwrap();
    assert!(texts(&replica["secrets"]).contains(&secret));
    let variables = [
        ("SERVAL_CONNECT__DATABASE__URL", url),
        ("SERVAL_CONNECT__DATABASE__PASSWORD_FILE", file),
    ];
    Config::load(&[], &variables.into_iter().collect()).unwrap();
}

/// The Kubernetes objects by kind and name.
fn objects() -> BTreeMap<(String, String), Yaml> {
    let mut objects = BTreeMap::new();
    for path in files_below(&root().join("deploy/kubernetes")) {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        for object in yaml(name) {
            let kind = object["kind"].as_str().unwrap().to_owned();
            assert!(object["apiVersion"].as_str().is_some(), "{name}");
            let own = at(&object, "metadata.name").as_str().unwrap_or_default();
            let before = objects.insert((kind, own.to_owned()), object.clone());
            assert!(before.is_none(), "{name}: {own} twice");
        }
    }
    objects
}

fn object<'a>(objects: &'a BTreeMap<(String, String), Yaml>, kind: &str) -> &'a Yaml {
    let key = (kind.to_owned(), "serval-connect".to_owned());
    objects.get(&key).unwrap_or_else(|| panic!("no {kind}"))
}

#[test]
fn the_deployment_has_one_writer_no_rights_and_time_to_end() {
    let objects = objects();
    let deployment = object(&objects, "Deployment");
    assert_eq!(at(deployment, "spec.replicas").as_i64(), Some(1));
    let strategy = at(deployment, "spec.strategy.type");
    assert_eq!(strategy.as_str(), Some("Recreate"));
    let pod = at(deployment, "spec.template.spec");
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    let defaults = Config::load(&[], &Environment::default()).unwrap().config;
    let shutdown = defaults.server.shutdown_timeout.as_secs();
    assert!(u64::try_from(grace).unwrap() > shutdown, "{grace}");
    assert_eq!(
        at(pod, "securityContext.runAsNonRoot").as_bool(),
        Some(true)
    );
    assert_eq!(at(pod, "securityContext.fsGroup").as_i64(), Some(65532));

    let container = at(pod, "containers.0");
    let rights = &container["securityContext"];
    assert_eq!(rights["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(rights["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(texts(at(rights, "capabilities.drop")), ["ALL"]);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        // Webhooks are to be stored while Serval refuses calls, so no probe asks /readyz.
        let get = at(container, &format!("{probe}.httpGet"));
        assert_eq!(get["path"].as_str(), Some("/healthz"), "{probe}");
        assert_eq!(get["port"].as_str(), Some("webhooks"), "{probe}");
    }
}

#[test]
fn what_the_manifests_name_is_there() {
    let objects = objects();
    let pod = at(object(&objects, "Deployment"), "spec.template.spec");
    let volumes: Vec<&str> = pod["volumes"]
        .as_vec()
        .unwrap()
        .iter()
        .map(|volume| volume["name"].as_str().unwrap())
        .collect();
    let mounts = at(pod, "containers.0.volumeMounts").as_vec().unwrap();
    for mount in mounts {
        assert!(volumes.contains(&mount["name"].as_str().unwrap()));
    }
    for kind in ["ConfigMap", "Secret", "PersistentVolumeClaim"] {
        object(&objects, kind);
    }
    let selected = |kind: &str, path: &str| {
        at(object(&objects, kind), path)["app.kubernetes.io/name"]
            .as_str()
            .map(str::to_owned)
    };
    for (kind, path) in [
        ("Deployment", "spec.selector.matchLabels"),
        ("Deployment", "spec.template.metadata.labels"),
        ("Service", "spec.selector"),
        ("PodDisruptionBudget", "spec.selector.matchLabels"),
        ("NetworkPolicy", "spec.podSelector.matchLabels"),
    ] {
        assert_eq!(
            selected(kind, path).as_deref(),
            Some("serval-connect"),
            "{kind} {path}"
        );
    }
    let [kustomization] =
        <[Yaml; 1]>::try_from(yaml("deploy/kubernetes/kustomization.yaml")).unwrap();
    let listed = texts(&kustomization["resources"]);
    for path in files_below(&root().join("deploy/kubernetes")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        // Placeholders must never replace the secrets of a cluster.
        let belongs = !["kustomization.yaml", "secret.example.yaml"].contains(&name);
        assert_eq!(listed.contains(&name), belongs, "{name}");
    }
}

#[test]
fn the_configuration_of_kubernetes_is_ready_for_serve_with_the_secret_beside_it() {
    let objects = objects();
    let toml = at(object(&objects, "ConfigMap"), "data")["serval-connect.toml"]
        .as_str()
        .unwrap();
    let pod = at(object(&objects, "Deployment"), "spec.template.spec");
    let mounts = at(pod, "containers.0.volumeMounts").as_vec().unwrap();
    let of_secrets = mounts
        .iter()
        .find(|mount| mount["name"].as_str() == Some("secrets"));
    let mounted_at = of_secrets.unwrap()["mountPath"].as_str().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let secrets = at(object(&objects, "Secret"), "stringData");
    for (name, secret) in secrets.as_hash().unwrap() {
        let path = folder.path().join(name.as_str().unwrap());
        fs::write(path, secret.as_str().unwrap()).unwrap();
    }
    let toml = toml.replace(mounted_at, folder.path().to_str().unwrap());
    let file = folder.path().join("serval-connect.toml");
    fs::write(&file, toml).unwrap();
    let loaded = Config::load(&[file], &Environment::default()).unwrap();
    lacks_only_what_is_to_be_filled_in(&loaded);
}

const OVERLAY: &str = "deploy/kubernetes-postgres";

/// The only document of a file of the overlay.
fn patch(name: &str) -> Yaml {
    let [patch] = <[Yaml; 1]>::try_from(yaml(&format!("{OVERLAY}/{name}"))).unwrap();
    patch
}

#[test]
fn the_overlay_for_a_server_changes_what_is_there_and_nothing_is_left_out() {
    let objects = objects();
    let kustomization = patch("kustomization.yaml");
    assert_eq!(texts(&kustomization["resources"]), ["../kubernetes"]);
    let patches = kustomization["patches"].as_vec().unwrap();
    let listed: Vec<&str> = patches
        .iter()
        .map(|patch| patch["path"].as_str().unwrap())
        .collect();
    for path in files_below(&root().join(OVERLAY)) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            listed.contains(&name),
            name != "kustomization.yaml",
            "{name}"
        );
    }
    for own in patches {
        let name = own["path"].as_str().unwrap();
        // A list of operations says in the kustomization what it is about.
        let object = patch(name);
        let (kind, of) = match own["target"].as_hash() {
            Some(_) => (at(own, "target.kind"), at(own, "target.name")),
            None => (&object["kind"], at(&object, "metadata.name")),
        };
        let key = [kind, of].map(|word| word.as_str().unwrap().to_owned());
        let key: (String, String) = key.into();
        assert!(objects.contains_key(&key), "{name}: {key:?}");
    }
    let claim = patch("persistentvolumeclaim.yaml");
    assert_eq!(claim["$patch"].as_str(), Some("delete"));
}

#[test]
fn the_overlay_keeps_two_of_three_replicas_and_gives_each_time_to_end() {
    let deployment = patch("deployment.yaml");
    assert_eq!(at(&deployment, "spec.replicas").as_i64(), Some(3));
    let rolling = at(&deployment, "spec.strategy");
    assert_eq!(rolling["type"].as_str(), Some("RollingUpdate"));
    let unavailable = at(rolling, "rollingUpdate.maxUnavailable");
    assert_eq!(unavailable.as_i64(), Some(0));
    let budget = patch("poddisruptionbudget.yaml");
    assert_eq!(at(&budget, "spec.minAvailable").as_i64(), Some(2));
    // Kubernetes takes one of the two.
    assert!(at(&budget, "spec.maxUnavailable").is_null());

    let pod = at(&deployment, "spec.template.spec");
    let pause = at(pod, "containers.0.lifecycle.preStop.sleep.seconds");
    let grace = pod["terminationGracePeriodSeconds"].as_i64().unwrap();
    let defaults = Config::load(&[], &Environment::default()).unwrap().config;
    let shutdown = i64::try_from(defaults.server.shutdown_timeout.as_secs()).unwrap();
    assert!(grace > shutdown + pause.as_i64().unwrap(), "{grace}");

    // The volume of the base goes, and its mount with it.
    let volume = at(pod, "volumes.0");
    assert_eq!(volume["$patch"].as_str(), Some("delete"));
    let mount = at(pod, "containers.0.volumeMounts.0");
    assert_eq!(mount["$patch"].as_str(), Some("delete"));
    let objects = objects();
    let base = at(object(&objects, "Deployment"), "spec.template.spec");
    let mounted = at(base, "containers.0.volumeMounts").as_vec().unwrap();
    let of_base = mounted
        .iter()
        .find(|own| own["mountPath"] == mount["mountPath"]);
    assert_eq!(of_base.unwrap()["name"], volume["name"]);
}

#[test]
fn the_overlay_reads_the_url_from_the_secret_and_not_from_the_image() {
    let deployment = patch("deployment.yaml");
    let environment = at(&deployment, "spec.template.spec.containers.0.env");
    let environment: BTreeMap<&str, &str> = environment
        .as_vec()
        .unwrap()
        .iter()
        .map(|own| {
            (
                own["name"].as_str().unwrap(),
                own["value"].as_str().unwrap(),
            )
        })
        .collect();
    // The variable of the image would win over a file.
    assert!(read("Dockerfile").contains(" SERVAL_CONNECT__DATABASE__URL="));
    assert_eq!(environment["SERVAL_CONNECT__DATABASE__URL"], "");

    let file = Path::new(environment["SERVAL_CONNECT__DATABASE__URL_FILE"]);
    let objects = objects();
    let base = at(object(&objects, "Deployment"), "spec.template.spec");
    let mounts = at(base, "containers.0.volumeMounts").as_vec().unwrap();
    let of_secrets = mounts
        .iter()
        .find(|own| own["name"].as_str() == Some("secrets"));
    let folder = of_secrets.unwrap()["mountPath"].as_str().unwrap();
    assert_eq!(file.parent(), Some(Path::new(folder)));
    // The kustomization says which key the Secret needs, and what it holds.
    let key = file.file_name().unwrap().to_str().unwrap();
    let text = read(&format!("{OVERLAY}/kustomization.yaml"));
    assert!(text.contains(&format!("one key more here, {key}")));
    let url = text
        .lines()
        .find_map(|line| line.strip_prefix("#   "))
        .unwrap();

    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join(key);
    fs::write(&secret, url).unwrap();
    let variables = [
        ("SERVAL_CONNECT__DATABASE__URL", ""),
        (
            "SERVAL_CONNECT__DATABASE__URL_FILE",
            secret.to_str().unwrap(),
        ),
    ];
    let loaded = Config::load(&[], &variables.into_iter().collect()).unwrap();
    assert_eq!(loaded.config.database.url.expose_secret(), url);
}
