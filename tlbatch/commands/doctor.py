"""``tlbatch doctor``: would a study run?"""

from __future__ import annotations

from dataclasses import asdict

import click

from tlbatch.commands.options import cluster_store_option, context_option, namespace_option, output_option, print_json

MARKS = {"ok": "✓", "warning": "!", "failed": "✗"}


@click.command()
@context_option
@namespace_option
@cluster_store_option
@output_option
@click.option("--no-pod", is_flag=True, help="Do not start a pod.")
def doctor(context: str | None, namespace: str | None, store: str | None, output: str, no_pod: bool) -> int:
    """Check cluster, permissions, quota, GPUs, Secret, S3 from here and from a pod; say what fixes what is wrong.

    The exit code is 2 where something would keep a study from running.

    \b
    tlbatch doctor
    tlbatch doctor --context lab -o json
    """
    from tlbatch.cluster import open_cluster
    from tlbatch.doctor import FAILED, examine
    from tlbatch.errors import StudyError
    from tlbatch.profiles import load_profile
    from tlbatch.store import open_store

    profile = load_profile(context, {"namespace": namespace, "store": store})
    profile.point_to_endpoint()
    findings = []
    for finding in examine(
        profile,
        lambda: open_cluster(profile.namespace, profile.kube_context, 5.0),
        lambda: open_store(profile.checked_store()),
        not no_pod,
    ):
        findings.append(finding)
        if output != "json":
            click.echo(f"{MARKS[finding.state]} {finding.check:<12} {finding.detail}")
    if output == "json":
        print_json([asdict(finding) for finding in findings])
    return StudyError.exit_code if any(finding.state == FAILED for finding in findings) else 0
