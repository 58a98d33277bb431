"""The objects of one kind as values, kept equal to the API server by lists, watches and the answers to our writes."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from exposure.fields import Raw
from exposure.parse.kinds import Kind

#: Namespace and name. The namespace of a cluster-scoped object is "".
Key: TypeAlias = tuple[str, str]
#: Called with the kind, the key, and the value before and after. None stands for absence.
OnChange: TypeAlias = Callable[[Kind, Key, Any, Any], None]
#: An object of a list: key, resourceVersion, uid, value, and what is kept beside the value, None in most tables.
ListedObject: TypeAlias = tuple[Key, int, str, Any, Raw | None]


def key_of(raw: Raw) -> Key:
    metadata = raw.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")


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
        self._versioned = versioned
        self._versions: dict[Key, int] = {}
        self._keep_raw = keep_raw
        #: The uids of what our own deletes removed, until a list no longer has them.
        self._deleted: set[str] = set()
        self._listed_version = 0

    def __len__(self) -> int:
        return sum(map(len, self.values.values())) if self.kind.namespaced else len(self.values)

    def get(self, key: Key) -> Any:
        return self.in_namespace(key[0]).get(key[1])

    def in_namespace(self, namespace: str) -> dict[str, Any]:
        """name → value. Of a cluster-scoped kind, all objects."""
        values: dict[str, Any] = self.values.get(namespace, {}) if self.kind.namespaced else self.values
        return values

    def path(self, key: Key) -> str:
        """Where the API serves an object of the kind."""
        api, plural = f"/apis/{self.kind.group}/{self.kind.versions[0]}", self.kind.plural
        return f"{api}/namespaces/{key[0]}/{plural}/{key[1]}" if key[0] else f"{api}/{plural}/{key[1]}"

    def put(self, raw: Raw, *, own_write: bool = False) -> None:
        """An object of a watch event or, with `own_write`, of the answer to a write of ours, which is no news.

        A state that is older than the known one changes nothing.
        """
        key, version, uid = self._identity(raw)
        if uid not in self._deleted and self._is_newer(key, version):
            self._set(key, version, self.kind.parse(raw), self._kept(raw), own_write)

    def remove(self, raw: Raw) -> None:
        """A watch reports that the object is gone. `raw` is its last state."""
        key, version, uid = self._identity(raw)
        if uid in self._deleted:
            self._deleted.remove(uid)
        elif self._is_newer(key, version):
            self._unset(key)
            self._versions.pop(key, None)

    def forget(self, key: Key, uid: str) -> None:
        """The answer to our own delete: the object is gone. Later events of this uid come from before."""
        self._deleted.add(uid)
        self._unset(key)

    def listed(self, raw: Raw) -> ListedObject:
        """An object of a list as `replace` takes it, so that the rest of the raw object can leave memory."""
        key, version, uid = self._identity(raw)
        kept = self._kept(raw)
        # Policies are listed every ten seconds. To validate one takes far longer than to see that it is the known one.
        is_known = kept is not None and kept == self.raw.get(key)
        return key, version, uid, self.get(key) if is_known else self.kind.parse(raw), kept

    def replace(self, listed: Iterable[ListedObject], version: int) -> None:
        """Everything that exists at `version`. What the list does not have is gone, unless we wrote it since."""
        keys: set[Key] = set()
        uids: set[str] = set()
        if version < self._listed_version:
            # After a restore from a backup the counter runs backwards, and the versions that are known mean nothing.
            self._versions.clear()
            self._listed_version = 0
        for key, object_version, uid, value, raw in listed:
            keys.add(key)
            uids.add(uid)
            if uid not in self._deleted and (self._is_newer(key, object_version) or self.get(key) is None):
                self._set(key, object_version, value, raw)
        known = self.values.items() if self.kind.namespaced else [("", self.values)]
        for key in {(namespace, name) for namespace, values in known for name in values} - keys:
            if self._versions.get(key, 0) <= version:
                self._unset(key)
                self._versions.pop(key, None)
        self._deleted &= uids
        self._listed_version = version

    def _identity(self, raw: Raw) -> tuple[Key, int, str]:
        """Key, resourceVersion (0 where it means nothing) and uid."""
        metadata = raw.get("metadata") or {}
        key = (metadata.get("namespace", ""), metadata.get("name", ""))
        version = str(metadata.get("resourceVersion", "")) if self._versioned else ""
        return key, int(version) if version.isdigit() else 0, metadata.get("uid", "")

    def _is_newer(self, key: Key, version: int) -> bool:
        """Newer than what is known or, where nothing is, than the list that had no such object."""
        return version == 0 or version > self._versions.get(key, self._listed_version)

    def _kept(self, raw: Raw) -> Raw | None:
        if not self._keep_raw:
            return None
        return {"metadata": raw.get("metadata"), "spec": raw.get("spec") or {}, "status": raw.get("status") or {}}

    def _set(self, key: Key, version: int, value: Any, raw: Raw | None, own_write: bool = False) -> None:
        namespace, name = key
        values = self.values.setdefault(namespace, {}) if self.kind.namespaced else self.values
        before, status_differs = values.get(name), False
        values[name] = value
        if version:
            self._versions[key] = version
        if raw is not None:
            status_differs = key in self.raw and self.raw[key]["status"] != raw["status"]
            self.raw[key] = raw
        if not own_write and (status_differs or before != value):
            self._on_change(self.kind, key, before, value)

    def _unset(self, key: Key) -> None:
        namespace, name = key
        self.raw.pop(key, None)
        values = self.in_namespace(namespace)
        before = values.pop(name, None)
        if self.kind.namespaced and not values:
            self.values.pop(namespace, None)
        if before is not None:
            self._on_change(self.kind, key, before, None)
