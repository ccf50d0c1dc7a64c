"""States of the USA: their codes, and the spellings that mean one of them."""

import unicodedata

# Unicode's white space, the separators that Python treats as such, and characters without width.
WHITE_SPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u180e\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
)

# The states, the district and the territories. The codes of military post offices (AA, AE, AP) are not among them.
_NAMES_BY_CODE = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado",
    "CT": "Connecticut", "DE": "Delaware", "DC": "District of Columbia", "FL": "Florida", "GA": "Georgia",
    "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky",
    "LA": "Louisiana", "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada", "NH": "New Hampshire",
    "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota",
    "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island",
    "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont",
    "VA": "Virginia", "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
    "AS": "American Samoa", "GU": "Guam", "MP": "Northern Mariana Islands", "PR": "Puerto Rico",
    "VI": "US Virgin Islands",
}  # fmt: skip
STATE_CODES = frozenset(_NAMES_BY_CODE)
_CODES_BY_NAME = {name.upper(): code for code, name in _NAMES_BY_CODE.items()} | {
    "WASHINGTON DC": "DC",
    "WASHINGTON, DC": "DC",
    "VIRGIN ISLANDS": "VI",
}


def normalize_state(text: str) -> str:
    """Return the code that the text means, or the trimmed text in capitals if it means no state."""
    letters = unicodedata.normalize("NFKC", text).strip(WHITE_SPACE).upper().replace(".", "").strip(WHITE_SPACE)
    name = " ".join(letters.split())
    code = name.replace(" ", "")
    return code if code in STATE_CODES else _CODES_BY_NAME.get(name, letters)
