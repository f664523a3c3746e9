"""`pod(step)`: a training step as a task of Airflow, with the house's defaults, judged by what the step left.

The provider's operator starts the pod, watches it from the triggerer and brings its log. What it thinks of the end
is heard and not trusted: a pod may be collected by the cluster after it was done, or succeed and have done
nothing. The receipt of the step's process and the manifest that it names decide, whatever the phase:

- both are there: the task succeeded, also when the pod has vanished or is said to have failed;
- a refusal is there, or the exit code of one: bad data or settings; the task fails and is not tried again;
- neither: the task failed, also when the pod "succeeded"; it is tried again with growing pauses.

A pod that was not judged yet is gone on with by the next try, running or ended; so a worker that dies never makes a
second pod, and a pod that ended meanwhile is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import POD_IDENTIFIER_STATE_KEY, KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from kubernetes.client import ApiException
from kubernetes.client import models as k8s

from spira.kernel.errors import InvalidInput
from spira.orchestration import pod_parts
from spira.orchestration.pod_environment import common_environment, first_environment, step_environment
from spira.orchestration.pod_settings import VARIABLE, PodSettings, read_pod_settings
from spira.orchestration.receipts import REFUSED_EXIT_CODES, Receipt, Refusal, read_receipt, receipt_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from spira.infra.objects.port import Objects

ENDED = frozenset({"Succeeded", "Failed"})
HOUSE: Mapping[str, Any] = {
    "deferrable": True,
    "durable": True,
    "get_logs": True,
    "logging_interval": 30,
    "poll_interval": 3.0,
    "startup_check_interval_seconds": 2,
    "schedule_timeout_seconds": 6 * 3600,
    "startup_timeout_seconds": 1800,
    "on_finish_action": "delete_succeeded_pod",
    "on_kill_action": "delete_pod",
    "log_events_on_failure": True,
    "log_pod_spec_on_failure": False,
    "termination_message_policy": "FallbackToLogsOnError",
    "termination_grace_period": 30,
    "automount_service_account_token": False,
    "image_pull_policy": "IfNotPresent",
}
"""What differs from the provider's defaults: a GPU may be busy for hours, an image of 5 GB takes minutes to pull,
failed pods stay for a look, and a log shows while the step runs."""
TRIES: Mapping[str, Any] = {
    "retries": 4,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(minutes=20),
}


def pod(step: str, *, prepared: Any = None, after: Sequence[Any] = (), pieces: Any = None, **options: Any) -> Any:
    """The task of a step: one pod, or with `pieces`, a list as XComArg, a mapped pod for each.

    `prepared` is the output of `prepare`; `after` those of the tasks whose manifests it reads.
    """
    given = {"task_id": step, "step": step, "prepared": prepared, "after": list(after), **TRIES, **options}
    if pieces is None:
        return StepPod(**given)
    return StepPod.partial(map_index_template="{{ task.piece['label'] }}", **given).expand(piece=pieces)


class StepPod(KubernetesPodOperator):
    """One step, or one piece of it, in one pod; its receipt becomes the task's XCom."""

    template_fields: Sequence[str] = (*KubernetesPodOperator.template_fields, "prepared", "after")

    def __init__(
        self,
        *,
        step: str,
        piece: Mapping[str, Any] | None = None,
        prepared: Any = None,
        after: Sequence[Any] = (),
        **options: Any,
    ) -> None:
        """`piece` is one entry of the prepared plan, by default the only one of this step; without one the task is
        skipped. Without `prepared` the pod is told the run's parameters instead."""
        super().__init__(
            **{
                **HOUSE,
                "name": f"spira-{step}",
                "security_context": pod_parts.pod_security(),
                "container_security_context": pod_parts.container_security(),
                **options,
            }
        )
        self.step = step
        self.piece = piece
        self.prepared = prepared
        self.after = after

    # What Airflow calls

    def execute(self, context: Context) -> None:
        """Start the pod, or find the one that an earlier try left, and defer."""
        self._furnish(context)
        left = context["task_state_store"].get(POD_IDENTIFIER_STATE_KEY)
        if isinstance(left, dict) and self._receipt(context) is not None:
            self.log.info("Pod %s of an earlier try left a receipt that nobody read", left["name"])
            self._judge(context, name=str(left["name"]), namespace=str(left["namespace"]), trouble=None)
            return
        super().execute(context)

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> None:
        """Resumed when the pod ended, vanished, or could not be watched any more."""
        trouble: Exception | None = None
        try:
            super().trigger_reentry(context, event)
        except Exception as error:  # noqa: BLE001 - whatever it makes of the end, the receipt decides
            trouble = error
        self._judge(context, name=event["name"], namespace=event["namespace"], trouble=trouble)

    def get_or_create_pod(self, pod_request_obj: k8s.V1Pod, context: Context) -> k8s.V1Pod:
        """The pod of an earlier try that nobody judged, whatever its phase, else a new one.

        The provider's own deletes one that succeeded and does the work again, as its XCom is lost.
        """
        pod = self._get_pod_from_task_state_store(context)
        if pod is None:
            pod = self.find_pod(pod_request_obj.metadata.namespace, context=context)
        if pod is not None:
            self.log.info("Going on with pod %s of an earlier try", pod.metadata.name)
            self._persist_pod_identity_to_task_state_store(context, pod)
            return pod
        self._objects.delete(self._receipt_key(context))
        self.pod = pod_request_obj  # `on_kill` deletes it, should this process end before the answer comes
        created = self.pod_manager.create_pod(pod=pod_request_obj)
        self._persist_pod_identity_to_task_state_store(context, created)
        return pod_request_obj

    # The pod

    def _furnish(self, context: Context) -> None:
        """Everything of the pod that is known only when the task runs."""
        settings, piece = self._settings, self._piece
        gpus = int(context["params"].get("gpus") or 0) if self.step == "train" else 0
        try:
            size = settings.size_of(self.step, gpus=gpus)
        except InvalidInput as error:
            raise AirflowFailException(str(error)) from error
        self.arguments = [self.step]
        self.image = settings.image
        self.namespace = settings.namespace
        self.service_account_name = settings.service_account
        self.image_pull_secrets = [k8s.V1LocalObjectReference(name=name) for name in settings.image_pull_secrets]
        self.container_resources = pod_parts.resources(size)
        self.active_deadline_seconds = size.deadline_s
        self.node_selector = settings.node_selector | (settings.gpu_node_selector if size.gpus else {})
        self.tolerations = [k8s.V1Toleration(**one) for one in settings.gpu_tolerations] if size.gpus else []
        self.volumes = pod_parts.scratch_volumes(size)
        self.volume_mounts = pod_parts.scratch_mounts()
        self.env_from = pod_parts.environment_sources(settings)
        told = common_environment(settings, label=piece["label"], receipt=self._receipt_key(context))
        if self.prepared is None:
            told |= first_environment(context)
        else:
            told |= step_environment(self.prepared, piece, after=self.after, params=context["params"])
        self.env_vars = [k8s.V1EnvVar(name=name, value=value) for name, value in told.items()]
        self.labels = {
            "app.kubernetes.io/part-of": "spira",
            "app.kubernetes.io/component": "training-step",
            "spira/step": self.step,
            "spira/label": make_safe_label_value(piece["label"].replace("@", ".")),
        }

    @property
    def _piece(self) -> Mapping[str, Any]:
        if self.piece is not None:
            return self.piece
        if self.prepared is None:
            return {"label": self.step, "parameters": {}, "after": []}
        pieces: list[Mapping[str, Any]] = self.prepared["told"]["steps"].get(self.step, [])
        if not pieces:
            raise AirflowSkipException(f"this run has no step {self.step!r}")
        return pieces[0]

    # The verdict

    def _judge(self, context: Context, *, name: str, namespace: str, trouble: Exception | None) -> None:
        """Push the receipt of a step that is done; otherwise raise, by whether another try may help.

        Where the store does not answer, or the pod still runs, nothing is judged and the next try goes on with it.
        """
        receipt = self._receipt(context)
        try:
            pod = self._find(name, namespace)
        except Exception as error:
            if receipt is None:
                raise AirflowException(f"the cluster does not answer; the next try goes on with {name}") from error
            pod = None
        if receipt is None and trouble is not None and pod is not None and self._goes_on(pod):
            raise AirflowException(f"pod {name} can't be watched now; the next try goes on with it") from trouble
        self._let_go(pod, context)
        if isinstance(receipt, Receipt):
            if trouble is not None:
                self.log.warning("%s is there, so the step is done. Heard: %s", receipt.manifest, trouble)
            context["ti"].xcom_push(key="return_value", value=receipt.model_dump(mode="json"))
            return
        raise self._verdict(receipt, pod or self.pod, name=name) from trouble

    def _verdict(self, refusal: Refusal | None, pod: k8s.V1Pod | None, *, name: str) -> AirflowException:
        """The error of a step that is not done; AirflowFailException where no other try would help."""
        if refusal is not None and refusal.permanent:
            return AirflowFailException(f"step {refusal.label} refused: {refusal.lines()}")
        if refusal is not None:
            return AirflowException(f"step {refusal.label}: {refusal.lines()}")
        refused = pod_parts.exit_code(pod, self.base_container_name) in REFUSED_EXIT_CODES
        kind = AirflowFailException if refused else AirflowException
        return kind(f"pod {name} {pod_parts.ending(pod, self.base_container_name)}")

    def _goes_on(self, pod: k8s.V1Pod) -> bool:
        """Whether it may still end well, and the provider has not given it up."""
        checked = (pod.metadata.labels or {}).get(self.POD_CHECKED_KEY) == "True"
        return pod.status.phase not in ENDED and not checked

    def _let_go(self, pod: k8s.V1Pod | None, context: Context) -> None:
        """No later try goes on with a judged pod. One that failed is kept for a look, one that still waits is not."""
        if pod is not None:
            tidy = self.patch_already_checked if pod.status.phase == "Failed" else self.pod_manager.delete_pod
            try:
                tidy(pod)
            except Exception as error:  # noqa: BLE001 - the verdict stands, whatever the cluster says now
                self.log.warning("Could not tidy up after pod %s: %s", pod.metadata.name, error)
        context["task_state_store"].delete(POD_IDENTIFIER_STATE_KEY)

    def _find(self, name: str, namespace: str) -> k8s.V1Pod | None:
        try:
            return self.hook.get_pod(name, namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    # What it stands on

    @cached_property
    def _settings(self) -> PodSettings:
        try:
            return read_pod_settings(Variable.get(VARIABLE, default=""))
        except InvalidInput as error:
            raise AirflowFailException(str(error)) from error

    @property
    def _objects(self) -> Objects:
        from spira.infra.stores import open_objects

        return open_objects(self._settings.objects_url)

    def _receipt_key(self, context: Context) -> str:
        return receipt_key(context["ti"].dag_id, context["run_id"], self._piece["label"])

    def _receipt(self, context: Context) -> Receipt | Refusal | None:
        return read_receipt(self._objects, self._receipt_key(context))
