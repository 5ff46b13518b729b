"""Holds the Helm chart against Helm's own library: `chart.py CHART FOLDER`.

It lints, renders with little and with all that can be switched on, and writes what was rendered to FOLDER; values that the schema does not take
have to be refused.
"""

import pathlib
import sys

import helm_python as helm

chart_folder, folder = sys.argv[1], pathlib.Path(sys.argv[2])

EVERYTHING = {
    "secrets": ["walferry-shop", "walferry-kafka"],
    "imagePullSecrets": [{"name": "pull"}],
    "networkPolicy": {
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "to": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 5432, "protocol": "TCP"}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "runbooks": "https://example.org/", "labels": {"release": "prometheus"}},
    "podAnnotations": {"a": "b"},
    "podLabels": {"a": "b"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "extraEnv": [{"name": "WALFERRY_LOG__LEVEL", "value": "debug"}],
    "serviceAccount": {"annotations": {"a": "b"}},
}
REFUSED = [
    {"replicas": 2},
    {"config": 'name = "shop"'},
    {"imagee": {}},
    {"secrets": [""]},
    {"terminationGracePeriodSeconds": 5},
]

report = helm.lint(chart_folder, strict=True)
# 1 is a hint.
faults = [message for message in report["messages"] if message["severity"] > 1]
if faults or report["errors"]:
    sys.exit(f"lint: {report}")

with helm.Chart.load(chart_folder) as chart:
    for name, values in [("little", {}), ("everything", EVERYTHING)]:
        rendered = chart.render(values, name="shop", namespace="walferry")
        for path, text in rendered.items():
            kind = pathlib.Path(path).stem
            if text.strip() and kind != "NOTES":
                (folder / f"{name}-{kind}.yaml").write_text(text)
    for values in REFUSED:
        try:
            chart.validate_schema(values)
        except helm.HelmError:
            continue
        sys.exit(f"the schema takes {values}")
    with_other_file = dict(EVERYTHING, config='[admin]\nlisten = "0.0.0.0:9464"\n')

    def checksum(values):
        rendered = chart.render(values, name="shop", namespace="walferry")
        lines = rendered["walferry/templates/deployment.yaml"].splitlines()
        return [line for line in lines if "checksum/config" in line]

    if not checksum({}) or checksum({}) == checksum(with_other_file):
        sys.exit("another configuration is not another pod")
