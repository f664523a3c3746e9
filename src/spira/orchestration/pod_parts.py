"""Parts of a step's pod as the Kubernetes API wants them, and what its end looks like in people's words."""

from __future__ import annotations

from airflow.providers.cncf.kubernetes.utils.container import get_container_status
from kubernetes.client import models as k8s

from spira.orchestration.pod_settings import PodSettings
from spira.orchestration.sizes import Size

USER = 10001
"""The images' user. Any other would do: a step writes to its scratch volume alone."""
SCRATCH = "/tmp"  # noqa: S108 - a volume of the pod's own


def pod_security() -> k8s.V1PodSecurityContext:
    """What PodSecurity `restricted` asks for, and a group that may write to the scratch volume."""
    return k8s.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=USER,
        run_as_group=USER,
        fs_group=USER,
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def container_security() -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def resources(size: Size) -> k8s.V1ResourceRequirements:
    return k8s.V1ResourceRequirements(requests=size.requests, limits=size.limits)


def scratch_volumes(size: Size) -> list[k8s.V1Volume]:
    """Temporary files; and shared memory, of which a container has 64 MiB otherwise, less than torch's workers use."""
    return [
        k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=size.scratch)),
        k8s.V1Volume(name="shared-memory", empty_dir=k8s.V1EmptyDirVolumeSource(medium="Memory", size_limit="1Gi")),
    ]


def scratch_mounts() -> list[k8s.V1VolumeMount]:
    return [
        k8s.V1VolumeMount(name="scratch", mount_path=SCRATCH),
        k8s.V1VolumeMount(name="shared-memory", mount_path="/dev/shm"),  # noqa: S108 - a volume too
    ]


def environment_sources(settings: PodSettings) -> list[k8s.V1EnvFromSource]:
    return [
        k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name=settings.config_map)),
        k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=settings.secret)),
    ]


def exit_code(pod: k8s.V1Pod | None, container: str) -> int | None:
    """None for a pod that is gone, or whose container never ended."""
    ended = _terminated(pod, container)
    return None if ended is None else int(ended.exit_code)


def ending(pod: k8s.V1Pod | None, container: str) -> str:
    """How a pod without a receipt ended, with the last lines it wrote where they are known."""
    if pod is None:
        return "vanished and left no manifest"
    ended = _terminated(pod, container)
    phase = pod.status.phase if pod.status else "Unknown"
    if ended is None:
        why = (pod.status.message or pod.status.reason) if pod.status else None
        return f"left no manifest; it is {phase}" + (f": {why}" if why else "")
    if ended.exit_code == 0:
        return (
            "succeeded and left no manifest: either its ConfigMap and the Airflow variable name different object "
            "stores, or the image's entry point is no step"
        )
    words = f"\n{ended.message.strip()}" if ended.message else ""
    return f"failed with exit code {ended.exit_code} ({ended.reason or 'Error'}){words}"


def _terminated(pod: k8s.V1Pod | None, container: str) -> k8s.V1ContainerStateTerminated | None:
    status = None if pod is None else get_container_status(pod, container)
    return status.state.terminated if status is not None and status.state is not None else None
