"""GPUs and other devices of a cluster: what its nodes offer, what of it is free, and whether a name is among it. Pure.

A device is any extended resource (a name with a domain that is not Kubernetes's own: ``nvidia.com/gpu``, MIG's
``nvidia.com/mig-1g.10gb``, ``amd.com/gpu``, ``gpu.intel.com/xe``) or a class of devices that pods get by resource claims
(DeviceClasses and ResourceSlices of resource.k8s.io).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tlbatch.schema.nearest import suggestion

CLASS_PREFIX = "deviceclass.resource.kubernetes.io/"
_SCALES = {"": 1, "k": 10**3, "M": 10**6, "Ki": 2**10, "Mi": 2**20}
_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Device:
    """``free``: None where that is not known. ``claimed``: pods get it by a resource claim, not by a limit."""

    name: str
    total: int
    free: int | None = None
    nodes: int = 0
    claimed: bool = False


def is_device(resource: str) -> bool:
    """Whether a resource of a node is neither CPU, memory, storage, huge pages, pods nor another of Kubernetes's own."""
    domain, slash, _ = resource.partition("/")
    own = domain == "kubernetes.io" or domain.endswith(".kubernetes.io")
    return bool(slash) and (not own or resource.startswith(CLASS_PREFIX))


def lacking(message: str) -> list[str]:
    """Resources that a scheduler's message calls insufficient."""
    return [name.rstrip(".,;:") for name in re.findall(r"Insufficient (\S+)", message)]


def list_devices(
    nodes: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]] | None = None,
    classes: Sequence[Mapping[str, Any]] = (),
    slices: Sequence[Mapping[str, Any]] = (),
) -> list[Device]:
    """All devices, by name. ``pods``: of all namespaces; None where they may not be asked for."""
    totals, places = Counter[str](), Counter[str]()
    for node in nodes:
        for name, amount in ((node.get("status") or {}).get("allocatable") or {}).items():
            if is_device(name) and (count := _count(amount)):
                totals[name] += count
                places[name] += 1
    used = None if pods is None else _used(pods)
    found = [Device(n, totals[n], None if used is None else max(0, totals[n] - used[n]), places[n]) for n in sorted(totals)]
    return found + [device for each in classes if (device := _of_class(each, slices)) is not None]


def names(devices: Iterable[Device]) -> list[str]:
    """What ``resources.gpu_resource`` may say; a claimed device goes by its class's own resource name."""
    return [device.name for device in devices]


def mistaken(resource: str, devices: Sequence[Device]) -> str:
    """A sentence where there are devices and ``resource`` is none of them; else ""."""
    there = names(devices)
    if not there or resource in there:
        return ""
    near = suggestion(resource, there) or f": there is {', '.join(there)}"
    return f"no node has {resource}, which pods that need a GPU ask for (resources.gpu_resource){near}"


def describe(devices: Iterable[Device]) -> str:
    """``4 nvidia.com/gpu (1 free), …``; "" where there are none."""
    return ", ".join(_words(device) for device in devices)


def _words(device: Device) -> str:
    notes = [] if device.free is None or device.claimed else [f"{device.free} free"]
    notes += ["by resource claims"] if device.claimed else []
    return f"{device.total} {device.name}" + (f" ({', '.join(notes)})" if notes else "")


def _of_class(document: Mapping[str, Any], slices: Sequence[Mapping[str, Any]]) -> Device | None:
    """Devices of the drivers that the class's selectors name; a class that names none might mean any."""
    name = (document.get("metadata") or {}).get("name")
    if not name:
        return None
    spec = document.get("spec") or {}
    chosen = " ".join(str((each.get("cel") or {}).get("expression", "")) for each in spec.get("selectors") or [])
    drivers = set(re.findall(r"device\.driver\s*==\s*[\"']([^\"']+)[\"']", chosen))
    held = [each for slice_ in slices if (each := slice_.get("spec") or {}) and (not drivers or each.get("driver") in drivers)]
    nodes = {str(each["nodeName"]) for each in held if each.get("nodeName")}
    shown = str(spec.get("extendedResourceName") or f"{CLASS_PREFIX}{name}")
    return Device(shown, sum(len(each.get("devices") or []) for each in held), None, len(nodes), claimed=True)


def _used(pods: Iterable[Mapping[str, Any]]) -> Counter[str]:
    used = Counter[str]()
    for pod in pods:
        spec = pod.get("spec") or {}
        if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in _OVER:
            continue
        running, first = _asked(spec.get("containers") or []), _most(spec.get("initContainers") or [])
        used.update({name: max(running[name], first[name]) for name in running | first})
    return used


def _asked(containers: Iterable[Mapping[str, Any]]) -> Counter[str]:
    total = Counter[str]()
    for container in containers:
        total.update(_limits(container))
    return total


def _most(containers: Iterable[Mapping[str, Any]]) -> Counter[str]:
    most = Counter[str]()
    for container in containers:
        most |= _limits(container)
    return most


def _limits(container: Mapping[str, Any]) -> Counter[str]:
    resources = container.get("resources") or {}
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return Counter({name: _count(amount) for name, amount in asked.items() if is_device(name)})


def _count(amount: Any) -> int:
    match = re.fullmatch(r"(\d+)(k|M|Ki|Mi|)", str(amount))
    return int(match[1]) * _SCALES[match[2]] if match else 0
