"""Names of character encodings."""

import codecs
import encodings
import pkgutil
from encodings.aliases import aliases

# Python's other codecs are not encodings of files: they convert bytes to bytes, or single names.
_NOT_OF_FILES = {
    "base64_codec", "bz2_codec", "hex_codec", "idna", "mbcs", "oem", "punycode", "quopri_codec", "raw_unicode_escape",
    "rot_13", "undefined", "unicode_escape", "uu_codec", "zlib_codec",
}  # fmt: skip
_MAX_LENGTH = 60
_MODULES = {module.name for module in pkgutil.iter_modules(encodings.__path__)} - _NOT_OF_FILES - {"aliases"}
_NAMES = _MODULES | {alias for alias, module in aliases.items() if module in _MODULES}


def check_encoding(value: str) -> str:
    """Return the value if it names an encoding; raise ValueError. Only known names are looked up: Python caches all."""
    name = encodings.normalize_encoding(value[:_MAX_LENGTH]).lower()
    if len(value) > _MAX_LENGTH or not (name in _NAMES or name.replace("_", "") in _NAMES):
        raise ValueError("must be the name of a character encoding, such as utf-8 or windows-1252")
    return value


def codec_of(encoding: str) -> str:
    """Return the name of Python's codec. For UTF-8 it also accepts a byte order mark."""
    name = encodings.normalize_encoding(encoding).lower()
    codec = codecs.lookup(name if name in _NAMES else name.replace("_", "")).name
    return "utf-8-sig" if codec == "utf-8" else codec
