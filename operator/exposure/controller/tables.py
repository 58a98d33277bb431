"""The objects of one kind, as values, kept true by whoever reads them: a list, a watch, or the answer to a write."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from exposure.fields import BadField, Raw
from exposure.parse.kinds import Kind

Key: TypeAlias = tuple[str, str]
#: Key, what is kept of the raw object, its value (None: it cannot be meant), resourceVersion, uid.
Listed: TypeAlias = tuple[Key, Raw | None, Any, int, str]
#: Called with kind, key (namespace, name), the value before and after; None stands for absence.
Changed: TypeAlias = Callable[[Kind, Key, Any, Any], None]


class Table:
    """`values` is namespace → name → value, or name → value, and is what a `World` reads; it is changed in place.

    A `versioned` table also takes the answers to our own writes. They and the watch overtake one another, so each
    entry remembers its resourceVersion and only a newer one replaces it. With `keep_raw`, spec and status of each
    object are kept as they are written, for the few kinds whose status we write.
    """

    def __init__(self, kind: Kind, changed: Changed, *, versioned: bool = False, keep_raw: bool = False) -> None:
        self.kind = kind
        self.values: dict[str, Any] = {}
        self.raw: dict[Key, Raw] = {}
        self.refused: dict[Key, BadField] = {}
        self._changed = changed
        self._versions: dict[Key, int] | None = {} if versioned else None
        self._keep_raw = keep_raw
        self._deleted: dict[str, Key] = {}
        self._listed = 0

    def __len__(self) -> int:
        return sum(map(len, self.values.values())) if self.kind.namespaced else len(self.values)

    def get(self, key: Key) -> Any:
        return self.values.get(key[0], {}).get(key[1]) if self.kind.namespaced else self.values.get(key[1])

    def in_namespace(self, namespace: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.values.get(namespace, {})
        return found

    def put(self, raw: Raw, *, quiet: bool = False) -> None:
        """An object as a watch shows it or, `quiet`, the answer to our own write. An older sight changes nothing."""
        key, version, uid = identity(raw)
        if uid in self._deleted or not self._is_news(key, version) or self._is_ghost(key, version):
            return
        self._store(key, self._kept(raw), self._parsed(key, raw), version, quiet)

    def remove(self, raw: Raw) -> None:
        """The object is gone, says a watch; `raw` is its last state."""
        key, version, uid = identity(raw)
        if self._deleted.pop(uid, None) is None and self._is_news(key, version):
            self._unset(key)
            if self._versions is not None:
                self._versions.pop(key, None)

    def forget(self, key: Key, uid: str) -> None:
        """The object is gone, says the answer to our own delete. Later sights of this uid come from before."""
        self._deleted[uid] = key
        self._unset(key)

    def replace(self, listed: Iterable[Listed], version: int) -> None:
        """Everything that exists at `version`. What is not among it has vanished, unless we wrote it since."""
        seen: set[Key] = set()
        uids: set[str] = set()
        # After a restore from backup the counter runs backwards, and newer versions of before mean nothing.
        backwards = version < self._listed
        if backwards and self._versions is not None:
            self._versions.clear()
        self._listed = version
        for key, raw, value, own_version, uid in listed:
            seen.add(key)
            uids.add(uid)
            if uid in self._deleted:
                continue
            if self._is_news(key, own_version) or self.get(key) is None:
                self._store(key, raw, value, own_version)
        for key in [key for key in self._keys() if key not in seen and not self._written_since(key, version)]:
            self._unset(key)
            if self._versions is not None:
                self._versions.pop(key, None)
        self._deleted = {uid: key for uid, key in self._deleted.items() if uid in uids}

    def read(self, raw: Raw) -> Listed:
        """An object of a list as `replace` takes it: only what is kept of it stays in memory."""
        key, version, uid = identity(raw)
        return key, self._kept(raw), self._parsed(key, raw), version, uid

    def _parsed(self, key: Key, raw: Raw) -> Any:
        try:
            value = self.kind.parse(raw)
        except BadField as error:
            self.refused[key] = error
            return None
        self.refused.pop(key, None)
        return value

    def _kept(self, raw: Raw) -> Raw | None:
        if not self._keep_raw:
            return None
        return {"spec": raw.get("spec"), "status": raw.get("status") or {}, "metadata": raw.get("metadata")}

    def _store(self, key: Key, raw: Raw | None, value: Any, version: int, quiet: bool = False) -> None:
        if self._versions is not None:
            self._versions[key] = version
        if value is None:
            self._unset(key)
            return
        before, raw_before = self.get(key), self.raw.get(key)
        if raw is not None:
            self.raw[key] = raw
        into = self.values.setdefault(key[0], {}) if self.kind.namespaced else self.values
        into[key[1]] = value
        if quiet:
            return
        if before != value or (raw is not None and raw_before is not None and raw["status"] != raw_before["status"]):
            self._changed(self.kind, key, before, value)

    def _unset(self, key: Key) -> None:
        self.raw.pop(key, None)
        within = self.values.get(key[0], {}) if self.kind.namespaced else self.values
        before = within.pop(key[1], None)
        if self.kind.namespaced and not within:
            self.values.pop(key[0], None)
        if before is not None:
            self._changed(self.kind, key, before, None)

    def _keys(self) -> list[Key]:
        if not self.kind.namespaced:
            return [("", name) for name in self.values]
        return [(namespace, name) for namespace, within in self.values.items() for name in within]

    def _is_news(self, key: Key, version: int) -> bool:
        return self._versions is None or version == 0 or version > self._versions.get(key, 0)

    def _is_ghost(self, key: Key, version: int) -> bool:
        """A late sight of what a list has since shown to be gone."""
        return self._versions is not None and key not in self._versions and 0 < version <= self._listed

    def _written_since(self, key: Key, version: int) -> bool:
        return self._versions is not None and self._versions.get(key, 0) > version


def identity(raw: Raw) -> tuple[Key, int, str]:
    """Key, resourceVersion (0 where it is not a number) and uid of a raw object."""
    head = raw.get("metadata") or {}
    version = str(head.get("resourceVersion", ""))
    key = (head.get("namespace", ""), head.get("name", ""))
    return key, int(version) if version.isdigit() else 0, head.get("uid", "")
