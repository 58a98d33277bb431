"""The objects of one kind as values, kept equal to the API server by lists, watches and the answers to our writes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from exposure.fields import Raw
from exposure.parse.kinds import Kind

#: Namespace and name. The namespace of a cluster-scoped object is "".
Key: TypeAlias = tuple[str, str]
#: Called with the kind, the key, and the value before and after. None stands for absence.
OnChange: TypeAlias = Callable[[Kind, Key, Any, Any], None]


@dataclass(slots=True)
class ListedObject:
    """An object of a list. `raw`: what is kept of it beside its value, None in most tables."""

    key: Key
    version: int
    uid: str
    value: Any
    raw: Raw | None


class ObjectTable:
    """`values` is namespace → name → value, or name → value where the kind is cluster-scoped. It is changed in place.

    A `versioned` table also takes the answers to our own writes. Such an answer and the watch overtake each other, so
    every entry has its resourceVersion, and only a newer one replaces it. With `keep_raw`, the metadata, spec and
    status of every object are kept as they were read, for the few kinds whose status we write.
    """

    def __init__(self, kind: Kind, on_change: OnChange, *, versioned: bool = False, keep_raw: bool = False) -> None:
        self.kind = kind
        self.values: dict[str, Any] = {}
        self.raw: dict[Key, Raw] = {}
        self._on_change = on_change
        self._versions: dict[Key, int] | None = {} if versioned else None
        self._keep_raw = keep_raw
        #: uid → key of what our own deletes removed, until a list no longer has it.
        self._deleted: dict[str, Key] = {}
        self._listed_version = 0

    def __len__(self) -> int:
        return sum(map(len, self.values.values())) if self.kind.namespaced else len(self.values)

    def get(self, key: Key) -> Any:
        return self.values.get(key[0], {}).get(key[1]) if self.kind.namespaced else self.values.get(key[1])

    def in_namespace(self, namespace: str) -> Mapping[str, Any]:
        values: Mapping[str, Any] = self.values.get(namespace, {})
        return values

    def put(self, raw: Raw, *, own_write: bool = False) -> None:
        """An object of a watch event or, with `own_write`, of the answer to a write of ours, which is no news.

        A state that is older than the known one changes nothing.
        """
        key, version, uid = _identity(raw)
        if uid in self._deleted or not self._is_newer(key, version) or self._vanished_before(key, version):
            return
        self._set(key, version, self.kind.parse(raw), self._kept(raw), own_write)

    def remove(self, raw: Raw) -> None:
        """A watch reports that the object is gone. `raw` is its last state."""
        key, version, uid = _identity(raw)
        if self._deleted.pop(uid, None) is None and self._is_newer(key, version):
            self._unset(key)

    def forget(self, key: Key, uid: str) -> None:
        """The answer to our own delete: the object is gone. Later events of this uid come from before."""
        self._deleted[uid] = key
        self._unset(key, keep_version=True)

    def read(self, raw: Raw) -> ListedObject:
        """An object of a list as `replace` takes it, so that the rest of the raw object can leave memory."""
        key, version, uid = _identity(raw)
        kept = self._kept(raw)
        # Policies are listed every ten seconds. To validate one takes far longer than to see that it is the known one.
        is_known = kept is not None and kept == self.raw.get(key)
        return ListedObject(key, version, uid, self.get(key) if is_known else self.kind.parse(raw), kept)

    def replace(self, listed: Iterable[ListedObject], version: int) -> None:
        """Everything that exists at `version`. What the list does not have is gone, unless we wrote it since."""
        keys: set[Key] = set()
        uids: set[str] = set()
        # After a restore from a backup the counter runs backwards, and the versions that are known mean nothing.
        if version < self._listed_version and self._versions is not None:
            self._versions.clear()
        self._listed_version = version
        for listed_object in listed:
            key, uid = listed_object.key, listed_object.uid
            keys.add(key)
            uids.add(uid)
            if uid not in self._deleted and (self._is_newer(key, listed_object.version) or self.get(key) is None):
                self._set(key, listed_object.version, listed_object.value, listed_object.raw)
        for key in [key for key in self._keys() if key not in keys and not self._written_after(key, version)]:
            self._unset(key)
        self._deleted = {uid: key for uid, key in self._deleted.items() if uid in uids}

    def _kept(self, raw: Raw) -> Raw | None:
        if not self._keep_raw:
            return None
        return {"spec": raw.get("spec"), "status": raw.get("status") or {}, "metadata": raw.get("metadata")}

    def _set(self, key: Key, version: int, value: Any, raw: Raw | None, own_write: bool = False) -> None:
        if self._versions is not None:
            self._versions[key] = version
        before, raw_before = self.get(key), self.raw.get(key)
        if raw is not None:
            self.raw[key] = raw
        values = self.values.setdefault(key[0], {}) if self.kind.namespaced else self.values
        values[key[1]] = value
        if own_write:
            return
        if before != value or (raw is not None and raw_before is not None and raw["status"] != raw_before["status"]):
            self._on_change(self.kind, key, before, value)

    def _unset(self, key: Key, *, keep_version: bool = False) -> None:
        self.raw.pop(key, None)
        if self._versions is not None and not keep_version:
            self._versions.pop(key, None)
        values = self.values.get(key[0], {}) if self.kind.namespaced else self.values
        before = values.pop(key[1], None)
        if self.kind.namespaced and not values:
            self.values.pop(key[0], None)
        if before is not None:
            self._on_change(self.kind, key, before, None)

    def _keys(self) -> list[Key]:
        if not self.kind.namespaced:
            return [("", name) for name in self.values]
        return [(namespace, name) for namespace, values in self.values.items() for name in values]

    def _is_newer(self, key: Key, version: int) -> bool:
        return self._versions is None or version == 0 or version > self._versions.get(key, 0)

    def _vanished_before(self, key: Key, version: int) -> bool:
        """Whether this is a late event of an object that a list has since shown to be gone."""
        return self._versions is not None and key not in self._versions and 0 < version <= self._listed_version

    def _written_after(self, key: Key, version: int) -> bool:
        return self._versions is not None and self._versions.get(key, 0) > version


def _identity(raw: Raw) -> tuple[Key, int, str]:
    """Key, resourceVersion (0 where it is not a number) and uid."""
    metadata = raw.get("metadata") or {}
    version = str(metadata.get("resourceVersion", ""))
    key = (metadata.get("namespace", ""), metadata.get("name", ""))
    return key, int(version) if version.isdigit() else 0, metadata.get("uid", "")
