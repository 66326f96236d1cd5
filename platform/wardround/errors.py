"""Errors that a person can act on.

    WardroundError
    ├── Refused          one or more problems with what somebody wrote, sent or asked for
    └── Broken           a promise of our own did not hold (a bug); never caused by input

Every problem names its stable code, the place, the rule, the finding and the next step. No problem ever holds a cell
value, and the public text names only what a schema, a study or a file's own keys name. The codes are the catalogue
below; ``docs/reference/errors.md`` has an entry for each, and a test fails without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

EXIT_DONE = 0
EXIT_NOT_IN_ORDER = 1
EXIT_USAGE = 2
EXIT_PARTIAL = 3


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One kind of problem: what it is in a few words, and the exit status of a command that ends with it."""

    title: str
    exit_status: int = EXIT_USAGE


def _checked(title: str) -> CatalogueEntry:
    return CatalogueEntry(title, EXIT_NOT_IN_ORDER)


CATALOGUE: dict[str, CatalogueEntry] = {
    # Files that a person writes
    "Y-FILE": CatalogueEntry("a file is missing or cannot be read"),
    "Y-ENCODING": CatalogueEntry("a text file is not UTF-8"),
    "Y-SYNTAX": CatalogueEntry("the file is not the plain YAML that we read"),
    "Y-SURPRISE": CatalogueEntry("an unquoted word that YAML readers understand differently"),
    "Y-DUPKEY": CatalogueEntry("a key stands twice"),
    "Y-KEY": CatalogueEntry("an unknown key"),
    "Y-MISSING": CatalogueEntry("a required key is absent"),
    "Y-VALUE": CatalogueEntry("a value of the wrong type or out of range"),
    # Shared schemas (data contracts)
    "S-UNKNOWN": CatalogueEntry("no such schema"),
    "S-VERSION": CatalogueEntry("the schema exists, but not in this version"),
    "S-UNIT": CatalogueEntry("a unit or an analyte that is not known"),
    "S-RULE": CatalogueEntry("a cross-field rule that cannot be read"),
    "S-FIELD": CatalogueEntry("the schema names a field that it does not have"),
    "S-RANGE": CatalogueEntry("limits that contradict each other"),
    "S-HASH": CatalogueEntry("the schema file differs from the registry"),
    "S-COMPAT": CatalogueEntry("a version's number is too small for what changed"),
    "S-EXAMPLE": CatalogueEntry("the examples of a schema are not whole"),
    "S-CHECK": CatalogueEntry("a check is weighed that cannot be, or twice"),
    "S-KIND": CatalogueEntry("a schema of another kind is wanted"),
    "S-DICOM": CatalogueEntry("a word or an identifier that DICOM does not have"),
    "S-SYNTH": CatalogueEntry("no synthetic records can be made for a schema"),
    # Site file and mapping
    "M-SOURCE": CatalogueEntry("the site file names a source that it does not have"),
    "M-FIELD": CatalogueEntry("the mapping names a field that the schema does not have"),
    "M-UNMAPPED": CatalogueEntry("a required field has no local column"),
    "M-UNIT": CatalogueEntry("a local unit that cannot be converted"),
    "M-CODE": CatalogueEntry("a local code maps to a value that the schema does not have"),
    "M-SCHEMA": CatalogueEntry("the site file has no mapping for this schema"),
    "M-DRAFT": CatalogueEntry("a draft of the site file that no person has confirmed"),
    "M-JOIN": CatalogueEntry("a joined source that cannot be made of its tables"),
    "M-IMAGES": CatalogueEntry("a schema of tables with a source of images, or the reverse"),
    "M-DEVICE": CatalogueEntry("the site file names a device that is not there"),
    "M-EXCEPTION": CatalogueEntry("an exception for what cannot be explained away, or that names nothing"),
    # Records
    "T-FILE": _checked("a source file is missing or cannot be read"),
    "T-ENCODING": _checked("a table is not in the declared encoding"),
    "T-DELIM": _checked("a table does not have the declared delimiter"),
    "T-NOHEADER": _checked("a table has no header line"),
    "T-HDRDUP": _checked("a column name stands twice in the header"),
    "T-MISSCOL": _checked("a mapped column is absent"),
    "T-EXTRACOL": _checked("a column that the mapping does not know"),
    "T-RAGGED": _checked("lines with too few or too many cells"),
    "T-EMPTY": _checked("a table without records"),
    "T-PARTS": _checked("the files of one source are not alike"),
    "T-STALE": _checked("a snapshot is not of what its source holds now"),
    "T-SIZE": _checked("a source takes more size, memory or time than it may"),
    "T-QUERY": _checked("a database refuses a query"),
    "T-CELL": _checked("cells of a workbook without a value of their own"),
    "T-FK": _checked("rows of a further table without a row in the base, or the reverse"),
    "T-JOIN": _checked("rows of a further table that a join cannot read"),
    "T-TIE": _checked("two rows of the same time, one of which a join wants"),
    "T-FEW": _checked("fewer records or patients than required"),
    "T-TYPE": _checked("a cell is not of the field's type"),
    "T-INTFRAC": _checked("a fraction in an integer field"),
    "T-NONFINITE": _checked("an infinite or undefined number"),
    "T-RANGE": _checked("an impossible value"),
    "T-PLAUS": _checked("too many implausible values"),
    "T-ENUM": _checked("a value outside the code list"),
    "T-MAP": _checked("a local code without a mapping"),
    "T-PATTERN": _checked("a text that breaks the field's pattern"),
    "T-NULL": _checked("a required value is missing"),
    "T-MISSLIM": _checked("too many missing values"),
    "T-ALLNULL": _checked("a field without any value"),
    "T-LABEL": _checked("the target has a single class"),
    "T-RULE": _checked("records break a cross-field rule"),
    "T-DUPKEY": _checked("a primary key stands twice"),
    "T-UNIT": _checked("a column in another unit"),
    "T-UNITMIX": _checked("a part of a column in another unit"),
    "T-DRIFT": _checked("values that are distributed otherwise than the schema's reference says"),
    "T-QUARANTINE": _checked("more records set aside than the study allows"),
    "T-LEADZERO": _checked("an identifier without its leading zeros"),
    "T-SCI": _checked("an identifier in scientific notation"),
    "T-BIGINT": _checked("an identifier whose last digits a float changed"),
    "T-SENTINEL": _checked("a value that stands for missing, undeclared"),
    "T-CASE": _checked("a code in another case, or with white space"),
    "T-BOOL": _checked("yes and no in several notations"),
    "T-PHI-ID": _checked("texts that look like people"),
    "T-PHI-TEXT": _checked("free text that the schema does not declare"),
    "T-CODEVER": _checked("a code that its terminology cannot have"),
    "T-DATEFMT": _checked("a date in another form than declared"),
    "T-FUTURE": _checked("a date that has not come yet"),
    "T-TZ": _checked("times of several zones"),
    "T-VARYING": _checked("a patient's constant field changes"),
    "T-OVERLAP": _checked("stays of one patient overlap"),
    "T-DUPROW": _checked("the same records under two patients"),
    "T-DATESHIFT": _checked("dates that were shifted one by one"),
    "T-CONST": _checked("a field with one value only"),
    "T-LABELMISS": _checked("many records without the target"),
    "T-LEAK": _checked("a feature that gives the target away"),
    "T-SYNTHETIC": _checked("records that were made up from the schema, not of patients"),
    # Images
    "D-FOLDER": _checked("a folder of images is missing or cannot be read"),
    "D-FILE": _checked("a file of an export folder cannot be opened"),
    "D-NOTDICOM": _checked("a file that is no DICOM"),
    "D-TRUNC": _checked("a DICOM file that ends too early"),
    "D-HEADER": _checked("a header that is not in its declared form"),
    "D-BOMB": _checked("a file beyond the limits of headers or pixels"),
    "D-NOPIXELS": _checked("an image without pixels"),
    "D-OBJECT": _checked("a DICOM file that is no image"),
    "D-MODALITY": _checked("an image of another modality"),
    "D-SOPCLASS": _checked("an object of another kind"),
    "D-KIND": _checked("an image of another kind"),
    "D-SYNTAX": _checked("a transfer syntax that is not allowed or not decoded here"),
    "D-PHOTO": _checked("a photometric interpretation that the contract does not have"),
    "D-PIXLEN": _checked("fewer pixels than the header says"),
    "D-DECODE": _checked("pixels that do not decode"),
    "D-CRASH": _checked("pixels that end or hold up their decoder"),
    "D-UID": _checked("an image whose identity is not certain"),
    "D-PATIENT": _checked("an image without a patient"),
    "D-BITS": _checked("bits that the contract does not have"),
    "D-VIEW": _checked("another view than the contract's"),
    "D-CONTRAST": _checked("another contrast phase than the contract's"),
    "D-SIZE": _checked("rows or columns outside of the contract's range"),
    "D-SPACING": _checked("pixel spacing that is missing or out of range"),
    "D-RESCALE": _checked("numbers that do not become the contract's"),
    "D-NOPLANE": _checked("slices that do not say where they lie"),
    "D-ORIENT": _checked("an impossible orientation, or two of them"),
    "D-DUPSLICE": _checked("two slices at one place"),
    "D-GAP": _checked("a slice is missing"),
    "D-UNEVEN": _checked("steps between slices differ"),
    "D-TILT": _checked("slices that do not lie along their normal"),
    "D-MULTIFRAME": _checked("several slices or images in one file"),
    "D-SLICES": _checked("too few or too many slices"),
    "D-STEP": _checked("a distance of slices outside of the contract's range"),
    "D-PLANE": _checked("slices of another plane"),
    "D-BODYPART": _checked("another body part than the contract's"),
    "D-PHI": _checked("an attribute that may identify a person"),
    "D-PRIVATE": _checked("a private attribute"),
    "D-OVERLAY": _checked("an overlay or a curve"),
    "D-METHOD": _checked("a file that does not say that it was de-identified"),
    "D-BURNED": _checked("an image that may show text"),
    "D-PATH": _checked("a name of a file or folder that may identify a person"),
    "D-PREAMBLE": _checked("something before the first element"),
    "D-TRAILING": _checked("something behind the last element"),
    "D-FACE": _checked("an image that may show a face"),
    "D-NOTAG": _checked("an element that the contract requires and that has no value"),
    "D-TAG": _checked("an element that the contract forbids and that has a value"),
    "D-THICK": _checked("slices of a thickness outside of the contract's range"),
    "D-CONST": _checked("an image of one value"),
    "D-NOIMAGE": _checked("a record without an image"),
    "D-SEVERAL": _checked("a record with several images where one is meant"),
    "D-NOROW": _checked("an image that no row of its table names"),
    "D-JOIN": _checked("an image whose study or series is another one by its row"),
    "D-MASK": _checked("an example without a segmentation"),
    "D-MASKS": _checked("an example with several segmentations"),
    "D-MASKFILE": _checked("a mask that cannot be read"),
    "D-MASKREF": _checked("a segmentation of images that are not there, or of another patient"),
    "D-MASKFIT": _checked("a mask that does not lie on its image"),
    "D-MASKCLASS": _checked("a segment or number that is no class of the contract"),
    "D-MASKOVER": _checked("a voxel of two classes"),
    "D-MASKEMPTY": _checked("a mask in which nothing is drawn"),
    "D-MASKSTRAY": _checked("a segmentation of nothing in the folder"),
    "D-MASKPHI": _checked("a segmentation that may identify a person"),
    "D-PATHNAME": _checked("a path of a table that leads out of the folder"),
    "D-NOFILE": _checked("a file that a table names and that is not there"),
    "D-FORMAT": _checked("an image in another format, or in a form that is not read"),
    "D-METADATA": _checked("metadata of an image file that may identify a person"),
    "D-INTENSITY": _checked("values that the contract does not have"),
    "D-COPY": _checked("the same image twice"),
    "D-ROW": _checked("an image whose row is set aside"),
    "D-TABLE": _checked("a table of images that is not in order"),
    "D-UNNAMED": _checked("a file that no row names"),
    "D-FEW": _checked("fewer images than required"),
    "D-QUARANTINE": _checked("more images set aside than allowed"),
    "D-PREPARE": _checked("an image that cannot be prepared as a study asks"),
    "D-REFER": _checked("images that no segmentation can refer to"),
    # Studies and bundles
    "P-SCHEMA": CatalogueEntry("the study and the schema do not fit"),
    "P-FIELD": CatalogueEntry("the study names a field that the schema does not have"),
    "P-LABEL": CatalogueEntry("a label that no study is trained on yet"),
    "P-NETWORK": CatalogueEntry("an unknown network, loss, optimiser or argument"),
    "P-TRANSFORM": CatalogueEntry("transforms of images that cannot be done, or make no sense"),
    "P-WEIGHTS": CatalogueEntry("the file of initial weights does not fit the study's network"),
    "P-RULE": CatalogueEntry("a cohort rule that cannot be read"),
    "P-RANGE": CatalogueEntry("study settings that contradict each other"),
    "P-ROSTER": CatalogueEntry("the roster of hospitals is not in order"),
    "P-AUTHOR": CatalogueEntry("the study and the key that is to sign it do not name the same author"),
    "P-PROTOCOL": CatalogueEntry("written for another protocol version"),
    "B-READ": CatalogueEntry("the study bundle cannot be read"),
    "B-HASH": CatalogueEntry("the study bundle was changed after it was built"),
    "B-SIGNATURE": CatalogueEntry("a signature in the study bundle does not hold"),
    # Keys
    "K-MISSING": CatalogueEntry("a key is missing"),
    "K-MODE": CatalogueEntry("a private key can be read by others"),
    "K-FORMAT": CatalogueEntry("a key or signature file cannot be read"),
    "K-PASSPHRASE": CatalogueEntry("the passphrase of a person's key is missing, too short or another one"),
    "K-EXISTS": CatalogueEntry("keys exist already"),
    "K-CERTIFICATE": CatalogueEntry("the centre's certificates do not hold"),
    "K-REKEY": CatalogueEntry("new keys were half taken up"),
    # Enrolment and invitations
    "I-ENROLLED": _checked("a site of this name is enrolled with other keys"),
    "I-KEYS": _checked("a key is enrolled for another party"),
    "I-REMOVED": _checked("the hospital was removed from the centre"),
    "I-SUCCESSION": _checked("new keys of a hospital that do not follow from its old ones"),
    "I-UNKNOWN": _checked("no hospital of this name is enrolled"),
    "I-READ": CatalogueEntry("the file is not an invitation"),
    "I-SIGNATURE": _checked("an invitation was changed, or is not signed by the centre that it names"),
    "I-SITE": _checked("an invitation for another hospital"),
    "I-EXPIRED": _checked("an invitation has expired"),
    "I-EARLY": _checked("an invitation is not valid yet"),
    "I-AUTHORITY": _checked("the certificate authority of an invitation does not hold"),
    "I-FINGERPRINT": _checked("the centre has another fingerprint"),
    "I-JOINED": CatalogueEntry("the hospital has joined another centre"),
    "I-MISSING": CatalogueEntry("the hospital has joined no centre"),
    # Studies that the hospital's own policy does not allow
    "G-COORDINATOR": _checked("the hospital's policy does not allow this coordinator"),
    "G-AUTHOR": _checked("the hospital's policy does not allow this author"),
    "G-SCHEMA": _checked("the study's schema is not the installed one of its name and version"),
    "G-NETWORK": _checked("the hospital's policy does not allow this network"),
    "G-SIZE": _checked("a larger network than the hospital's policy allows"),
    "G-STRATEGY": _checked("the hospital's policy does not allow this strategy"),
    "G-FIELD": _checked("the hospital's policy does not allow a field of the study"),
    "G-PRIVACY": _checked("the study lacks protection that the hospital's policy requires"),
    "G-ROUNDS": _checked("more rounds than the hospital's policy allows"),
    "G-BYTES": _checked("more bytes than the hospital's policy lets out"),
    # Approvals, chains
    "A-MISSING": _checked("the hospital has not approved this study"),
    "A-INVALID": _checked("an approval does not hold"),
    "A-EXPIRED": _checked("an approval has expired"),
    "A-PAUSED": _checked("the hospital holds the study up"),
    "A-STUDY": _checked("the study named on the command line is not in the inbox or the ledger, or is not the only one"),
    "A-FULL": _checked("the inbox holds no further bundle"),
    "L-BUSY": CatalogueEntry("another process writes this journal or ledger"),
    "J-FORMAT": CatalogueEntry("a journal of a newer version"),
    "J-STUDY": _checked("a journal of another study"),
    "J-WEIGHTS": _checked("weights that a journal names are missing or damaged"),
    "L-BROKEN": _checked("a journal or ledger was changed"),
    "L-FORGED": _checked("an entry of a ledger is not signed by its hospital"),
    "L-ANCHOR": _checked("a ledger does not hold a head that somebody outside holds"),
    "L-RECEIPT": _checked("a hospital's ledger and what the centre says of it differ"),
    "L-FORMAT": CatalogueEntry("a ledger that this version cannot read"),
    # Messages refused by a hospital's porter
    "H-PROTOCOL": _checked("a message of an unknown protocol or form"),
    "H-SIGNATURE": _checked("a message that is not signed by the pinned coordinator"),
    "H-ADDRESS": _checked("a message for another hospital"),
    "H-STUDY": _checked("a task of a study that is not approved here"),
    "H-POLICY": _checked("a task of a study, or a result, that the hospital's policy does not allow"),
    "H-CODE": _checked("the hospital's software was changed while its node ran"),
    "H-ORDER": _checked("a task out of order"),
    "H-BODY": _checked("a task whose weights are not what its header says"),
    "H-DRIFT": _checked("weights that the study's rounds cannot have made of the ones before"),
    "H-DATA": _checked("the records do not pass the check"),
    "H-FEW": _checked("too few records to take part"),
    "H-CHANGED": _checked("the records are not those of the signed check"),
    "H-RANGE": _checked("the change of weights is too large for the exact sum"),
    "H-NONFINITE": _checked("training gave numbers that are not finite"),
    "H-NORM": _checked("the change of weights is larger than the study or the hospital's policy allows"),
    "H-GATE": _checked("the egress gate kept back what was not approved, and paused the study"),
    "H-AGAIN": _checked("a hospital was restarted and needs the task once more"),
    "H-MEMORY": _checked("the work does not fit into the memory that the hospital allows"),
    "H-CONFINEMENT": _checked("the trainer lacks confinement that the hospital's policy requires"),
    "H-WITHDRAWN": _checked("the coordinator withdrew the task"),
    "H-FAILED": _checked("the work failed inside the hospital"),
    # Replies refused by the coordinator
    "R-PROTOCOL": _checked("a reply of an unknown protocol or form"),
    "R-SENDER": _checked("a reply from somebody who is not on the roster"),
    "R-SIGNATURE": _checked("a reply that is not signed by its hospital"),
    "R-TASK": _checked("a reply to another task"),
    "R-BODY": _checked("a body that is not what the reply's header says"),
    "R-SHAPE": _checked("a change of weights of the wrong size"),
    "R-NONFINITE": _checked("a change of weights that is not finite"),
    "R-RANGE": _checked("a change of weights too large for the exact sum"),
    "R-NORM": _checked("a change of weights larger than the study allows"),
    "R-RECORDS": _checked("another record count than the signed one"),
    "R-METRICS": _checked("counts that contradict each other"),
    "R-LATE": _checked("a reply after the deadline"),
    "R-SILENT": _checked("no reply before the deadline"),
    "R-REMOVED": _checked("the centre removed the hospital"),
    # Rounds
    "C-QUORUM": _checked("fewer hospitals or records than the study requires"),
    "C-REQUIRED": _checked("a required hospital did not answer"),
    "C-FAILED": _checked("too many failed rounds"),
    "C-SHARE": _checked("one hospital has more of a round's weight than the study allows"),
    "C-RANGE": _checked("a change of weights did not fit the sum's plan, which was raised"),
    "C-STATISTICS": _checked("no normalisation can be made"),
    # Releases that somebody uses
    "E-READ": CatalogueEntry("a release cannot be read"),
    "E-HASH": CatalogueEntry("a release was changed"),
    "E-EXPORT": CatalogueEntry("a model cannot be exported"),
    # Network and processes
    "N-PORT": CatalogueEntry("a port is taken"),
    "N-UNREACHABLE": CatalogueEntry("the centre cannot be reached"),
    "N-PROXY": CatalogueEntry("the hospital's proxy cannot be used"),
    "N-PROXYAUTH": CatalogueEntry("the hospital's proxy asks for credentials, or does not take them"),
    "N-PROXYDENIED": CatalogueEntry("the hospital's proxy does not let the node through"),
    "N-CREDENTIALS": CatalogueEntry("the credentials for a proxy or database are missing or cannot be used"),
    "N-CENTRE": CatalogueEntry("what answers is not the centre that the hospital joined"),
    "N-NAME": CatalogueEntry("the centre's certificate names another address"),
    "N-EXPIRED": CatalogueEntry("the centre's certificate has expired"),
    "N-CLOCK": CatalogueEntry("the clock is wrong"),
    "N-REFUSED": CatalogueEntry("the centre does not let the node in"),
    "V-RUNNING": CatalogueEntry("it runs already"),
    "V-STOPPED": CatalogueEntry("it does not run"),
    "V-BUSY": CatalogueEntry("the conductor is at work for a study"),
    "V-VERSION": _checked("a hospital runs another version of Wardround"),
    "V-CHILD": CatalogueEntry("a process did not start or stop"),
    "V-FORMAT": CatalogueEntry("the directory is of a format that this version cannot read"),
    # Files we write, and everything else
    "O-STATE": _checked("a study's state cannot be read"),
    "O-EXISTS": CatalogueEntry("the output exists already"),
    "O-WRITE": CatalogueEntry("an output cannot be written"),
    "O-SPACE": CatalogueEntry("too little space is left on the disk"),
    "X-USAGE": CatalogueEntry("the command was used wrongly"),
    "X-STUDY": CatalogueEntry("no study of this name, or more than one"),
    "X-EXAMPLE": CatalogueEntry("a study could not be tried on synthetic records in time"),
    "X-REFERENCE": _checked("no line of the hospital's own logs has this reference"),
    "X-EXTRA": CatalogueEntry("a package that this command needs is not installed"),
    "X-BUG": CatalogueEntry("an error of Wardround itself"),
}


def sentence(text: str) -> str:
    """End a text with a full stop, unless it ends with a mark of its own."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, in the five parts that every message has.

    Attributes:
        code: a key of ``CATALOGUE``.
        place: file and line, or ``schema.field``, or a hospital's name. Never a path from a record.
        rule: what should hold.
        finding: what was found instead; never a cell value.
        next_step: what the reader can do now.
    """

    code: str
    place: str
    rule: str
    finding: str
    next_step: str

    def __post_init__(self) -> None:
        """Refuse a code that has no entry: a message without a page helps nobody."""
        if self.code not in CATALOGUE:
            msg = f"no such error code: {self.code}"
            raise Broken(msg)

    def __str__(self) -> str:
        """Give the problem as two lines of text."""
        return f"{self.code} {self.place}: {self.finding}. {self.rule}.\n  Next: {sentence(self.next_step)}"

    def as_json(self) -> dict[str, str]:
        """Give the problem as a flat JSON object."""
        return asdict(self)


class WardroundError(Exception):
    """Any error that Wardround raises on purpose."""


class Broken(WardroundError):
    """A promise of Wardround itself does not hold. Always a bug, never bad input."""


class Refused(WardroundError):
    """What was given is refused, for all the reasons in ``problems`` (at least one)."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Take all problems at once, so that nobody mends a file one error at a time."""
        self.problems: tuple[Problem, ...] = tuple(problems)
        if not self.problems:
            msg = "Refused without a problem"
            raise Broken(msg)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the problems, in order."""
        return tuple(problem.code for problem in self.problems)

    @property
    def exit_status(self) -> int:
        """The exit status of a command that ends with these problems: the gravest one's."""
        return max(CATALOGUE[code].exit_status for code in self.codes)


def refuse(code: str, place: str, rule: str, finding: str, next_step: str) -> Refused:
    """Make the exception for a single problem, to be raised by the caller."""
    return Refused([Problem(code, place, rule, finding, next_step)])


def raise_all(problems: Sequence[Problem]) -> None:
    """Raise ``Refused`` when there is at least one problem, else do nothing."""
    if problems:
        raise Refused(problems)
