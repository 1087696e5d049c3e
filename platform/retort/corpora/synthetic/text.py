"""The sentences of the generated corpus: a table, no logic. Long, since each aspect needs ten wordings.

Placeholders: ``{name}`` the entity, ``{subj}``/``{poss}`` its pronouns, ``{v}`` the aspect's value (or the linked
entity's name), ``{w}`` a detail. Question and passage share some words of each aspect, not all: retrieval is neither
free nor hopeless.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["ASIDES", "ASPECTS", "FILLERS", "FIRST_NAMES", "OVERVIEWS", "SUBJECTS", "Aspect"]


@dataclass(frozen=True, slots=True)
class Aspect:
    """What can be asked of one kind of entity.

    Attributes:
        noun: What is compared: "the <noun> of X".
        full: Self-contained questions.
        short: Questions with a pronoun.
        bare: Questions without subject and verb.
        answer: The agent's answer.
        passages: Two wordings of the passage; the second makes near-duplicates.
        values: Choices for the value; a range of numbers; or the kind of entity that the aspect links to.
        details: Choices for the detail.
    """

    noun: str
    full: tuple[str, ...]
    short: tuple[str, ...]
    bare: tuple[str, ...]
    answer: str
    passages: tuple[str, str]
    values: range | str | tuple[str, ...]
    details: tuple[str, ...]


FIRST_NAMES: Final = {
    "scientist": ("Lena", "Ilna", "Marta", "Oda", "Sira", "Tilda", "Vera", "Nora", "Edda", "Runa", "Jana", "Cora"),
    "engineer": (
        "Aron",
        "Emil",
        "Ivo",
        "Jonas",
        "Kaspar",
        "Lorenz",
        "Magnus",
        "Otto",
        "Piet",
        "Ruben",
        "Timo",
        "Viktor",
    ),
}

SUBJECTS: Final = (
    "Glass",
    "Ceramics",
    "Clocks",
    "Textiles",
    "Printing",
    "Navigation",
    "Astronomy",
    "Music",
    "Mining",
    "Toys",
)

# What an agent adds that nobody asked for: {other} is an entity of the same kind. Later questions never mean it.
ASIDES: Final = (
    "Many people confuse this with {other}.",
    "Incidentally, more has been written about {other}, its price, its age and its people.",
    "For {other} the sources say something quite different.",
    "A reader of these pages may also like {other}.",
    "Unlike {other}, this is well documented.",
    "The reports on {other} are longer, and they were corrected several times.",
)

FILLERS: Final = (
    "The article on {other} describes a similar case in more detail.",
    "Local guides mention {other} in the same breath, although the two have little to do with each other.",
    "A newspaper of the region printed a long report about it in the spring of {year}.",
    "The figures were checked by the office of statistics and published again in {year}.",
    "Older books give other dates, which the archive at {other} could not confirm.",
    "Photographs from {year} show how much has changed since then.",
    "A short film about it was shown at the winter festival and later on television.",
    "Guided walks in summer include the place, and so does the second edition of the regional handbook.",
    "Compared with {other}, it has received little attention from abroad.",
)

# A passage about everything and nothing, as collections are full of.
OVERVIEWS: Final = (
    "{name} is a {kind} in the east of the country. Articles about it cover its history, its people, its visitors and "
    "its costs. It is listed together with {other} and {another} in the handbook of the region.",
    "{name}: notes of a traveller. We had read about {other} before and expected the {kind} to be like it. The day was "
    "long, the price was fair, and in the evening we talked about {another} and about what we had seen.",
)

_PEOPLE = (
    "fishermen",
    "glass blowers",
    "students",
    "weavers",
    "clockmakers",
    "miners",
    "printers",
    "sailors",
    "potters",
)
_SEASONS = ("spring", "early summer", "late summer", "autumn", "winter")
_YEARS = range(1790, 1990)

_PERSON: Final = (
    Aspect(
        "year of birth",
        ("When was {name} born?", "In what year was {name} born?"),
        ("When was {subj} born?", "What year was {subj} born in?"),
        ("And the year of birth?", "Born when?"),
        "That was in {v}; {poss} parents were {w}.",
        (
            "{name} was born in {v} as the third child of a family of {w}. The house of {poss} parents burned down "
            "early, and {subj} spent much of {poss} childhood with an aunt in the hills.",
            "Born in {v} to {w}, {name} grew up with four brothers and sisters. Little is known of {poss} early "
            "years, which {subj} hardly ever mentioned in letters.",
        ),
        _YEARS,
        _PEOPLE,
    ),
    Aspect(
        "home town",
        ("Where did {name} grow up?", "Which city does {name} come from?"),
        ("Where did {subj} grow up?", "Which city does {subj} come from?"),
        ("And the home town?", "From where?"),
        "The family lived in {v}, in the quarter of the {w}.",
        (
            "{name} grew up in {v}, where {poss} family had a small shop among {w}. {subj_cap} went to school by the "
            "market and left the city for the first time at the age of seventeen.",
            "The city of {v} was the home of {name} for almost twenty years. A plate on a house in the quarter of the "
            "{w} reminds of {poss} childhood there.",
        ),
        "city",
        _PEOPLE,
    ),
    Aspect(
        "best known work",
        ("What is {name} known for?", "What did {name} become famous for?"),
        ("What is {subj} known for?", "What made {poss} name famous?"),
        ("And the main work?", "Known for what?"),
        "Above all for {v}, done with a group of {w}.",
        (
            "{name} is known for {v}. The work took eleven years, was done with a group of {w}, and was first laughed "
            "at, then copied everywhere.",
            "It was {v} that made {name} famous. Together with some {w}, {subj} had tried three other ways before, "
            "none of which had worked.",
        ),
        (
            "a method to date river sediment",
            "the first map of the northern caves",
            "a cheap lamp for miners",
            "a theory of the tides in narrow bays",
            "a new way of melting quartz",
            "a pump without moving parts",
            "the study of migrating herons",
        ),
        _PEOPLE,
    ),
    Aspect(
        "employer",
        ("Which company did {name} work for?", "Who employed {name}?"),
        ("Which company did {subj} work for?", "Who employed {subj_obj}?"),
        ("And the employer?", "Working for whom?"),
        "For most of that time {subj} was employed by {v}, as an adviser of {w}.",
        (
            "For nineteen years {name} worked for {v}, first in the drawing office, then as an adviser who trained "
            "{w}. {subj_cap} refused to become a director of the company.",
            "{name} was employed by {v}. The contract, which is kept in the archive, gave {subj_obj} one day a week "
            "for teaching young {w}.",
        ),
        "company",
        _PEOPLE,
    ),
    Aspect(
        "number of prizes",
        ("How many prizes did {name} win?", "How many awards did {name} receive?"),
        ("How many prizes did {subj} win?", "Did {subj} receive any awards?"),
        ("And prizes?", "What about awards?"),
        "There were {v} of them, the first from a society of {w}.",
        (
            "{name} won {v} prizes. The first award came from a society of {w}, the last was handed over when {subj} "
            "was too ill to travel.",
            "In all, {v} awards were given to {name}; {subj} kept the medals in a drawer. The society of {w} later "
            "named its own prize after {subj_obj}.",
        ),
        range(2, 40),
        _PEOPLE,
    ),
)

ASPECTS: Final[dict[str, tuple[Aspect, ...]]] = {
    "city": (
        Aspect(
            "population",
            ("How many people live in {name}?", "What is the population of {name}?"),
            ("How many people live there?", "What is its population?"),
            ("And the population?", "How many inhabitants?"),
            "About {v} thousand, many of them {w}.",
            (
                "{name} has a population of {v} thousand people. Most of the inhabitants live south of the station; "
                "the old quarter, once full of {w}, is now the smallest.",
                "At the last census {v} thousand inhabitants were counted in {name}. In the past the people were "
                "mainly {w}, today half of them work in offices.",
            ),
            range(12, 900),
            _PEOPLE,
        ),
        Aspect(
            "river",
            ("Which river flows through {name}?", "What river is {name} on?"),
            ("Which river flows through it?", "Is it on a river?"),
            ("And the river?", "On which water?"),
            "It lies on the {v}, and the banks belong to the {w}.",
            (
                "{name} lies on both banks of the {v}. The river flows through the centre under five bridges, and the "
                "{w} used to keep their boats below the mill.",
                "The {v} reaches {name} from the north. Where the river is widest, the {w} of the city built a "
                "harbour, which is a park by now.",
            ),
            "river",
            _PEOPLE,
        ),
        Aspect(
            "age",
            ("When was {name} founded?", "In what year was the city of {name} founded?"),
            ("When was it founded?", "How old is that place?"),
            ("And its founding?", "Founded when?"),
            "The charter is of {v}; {w} settled first.",
            (
                "{name} was founded in {v}, when the first charter was given to a settlement of {w}. The walls were "
                "finished two generations later and torn down again for the railway.",
                "The founding year of {name} is {v}, although {w} must have lived on the hill long before. The city "
                "celebrates the day with a market.",
            ),
            range(1050, 1750),
            _PEOPLE,
        ),
        Aspect(
            "festival",
            ("What festival is held in {name}?", "Which celebration takes place in {name} every year?"),
            ("What festival is held there?", "Do they celebrate anything there?"),
            ("And festivals?", "Any celebrations?"),
            "They hold the {v} in {w}.",
            (
                "Every year in {w} the {v} is held in {name}. The festival lasts four days and ends with a long table "
                "in the main street, at which everybody may sit down.",
                "{name} celebrates the {v}. The celebration takes place in {w} and goes back to a vow made during a "
                "flood.",
            ),
            ("Lantern Feast", "Night of Boats", "Feast of Bells", "Salt Market Days", "Bread Sunday", "Kite Week"),
            _SEASONS,
        ),
        Aspect(
            "airport distance",
            ("How far is {name} from the airport?", "What is the distance from {name} to the airport?"),
            ("How far is it from the airport?", "Is the airport far away from there?"),
            ("And the airport?", "How far to the airport?"),
            "The airport is {v} kilometres away; in {w} a bus goes there.",
            (
                "The airport is {v} kilometres from {name}. A bus leaves from the station square every half hour, and "
                "in {w} there is a night service too.",
                "Travellers to {name} land at an airport that is {v} kilometres away. A taxi takes a while, above all "
                "in {w}, when the road is full.",
            ),
            range(6, 130),
            _SEASONS,
        ),
    ),
    "river": (
        Aspect(
            "length",
            ("How long is the {name}?", "What is the length of the {name}?"),
            ("How long is it?", "What is its length?"),
            ("And the length?", "How many kilometres?"),
            "It is {v} kilometres long, with low water in {w}.",
            (
                "The {name} is {v} kilometres long. Its length was measured anew after the bends near the border had "
                "been cut; in {w} parts of the bed fall dry.",
                "From spring to mouth the {name} covers {v} kilometres. Boats can use about half of the length, "
                "except in {w}.",
            ),
            range(30, 1400),
            _SEASONS,
        ),
        Aspect(
            "city at the mouth",
            ("Which city is at the mouth of the {name}?", "Where does the {name} end?"),
            ("Which city is at its mouth?", "Where does it end?"),
            ("And the mouth?", "Ending where?"),
            "It ends at {v}, where the {w} live.",
            (
                "The mouth of the {name} is at {v}. There the river ends in a delta of sand and reed, which the {w} "
                "of the city have drained for centuries.",
                "At {v} the {name} ends in the sea. The {w} keep a light burning at the mouth, since the channel moves "
                "every year.",
            ),
            "city",
            _PEOPLE,
        ),
        Aspect(
            "flood level",
            ("How high was the worst flood of the {name}?", "What level did the flood of the {name} reach?"),
            ("How high was its worst flood?", "Does it ever flood?"),
            ("And floods?", "What about high water?"),
            "The worst flood, in {w}, rose by {v} centimetres.",
            (
                "The worst flood of the {name} came in {w} and rose by {v} centimetres within a night. Marks of the "
                "level can be seen on most of the bridges.",
                "High water is common on the {name}: the record of {v} centimetres above normal was reached in {w}, "
                "when the ice broke.",
            ),
            range(180, 990),
            _SEASONS,
        ),
        Aspect(
            "fish",
            ("What fish live in the {name}?", "Which fish can be caught in the {name}?"),
            ("What fish live in it?", "What can one catch there?"),
            ("And the fish?", "Any fish?"),
            "Mostly {v}, which run in {w}.",
            (
                "Among the fish of the {name}, {v} is the most common. It can be caught in {w}, with a permit from the "
                "fishing club, and not below the weirs.",
                "Anglers come to the {name} for {v}. The fish had vanished when the mills were built and returned on "
                "their own; the season is {w}.",
            ),
            (
                "silver carp",
                "marble trout",
                "brown pike",
                "striped perch",
                "river eel",
                "blue barbel",
                "spotted zander",
            ),
            _SEASONS,
        ),
        Aspect(
            "dam engineer",
            ("Who built the dam on the {name}?", "Which engineer planned the dam of the {name}?"),
            ("Who built the dam on it?", "Which engineer planned its dam?"),
            ("And the dam?", "Dammed by whom?"),
            "The dam was built by {v}, with {w}.",
            (
                "The dam on the {name} was built by {v}. The engineer had promised six years; it took fourteen, and "
                "the workers, most of them {w}, went on strike twice.",
                "Plans for damming the {name} were old when {v} took them up. The engineer hired {w} and finished the "
                "wall in one dry year.",
            ),
            "engineer",
            _PEOPLE,
        ),
    ),
    "museum": (
        Aspect(
            "ticket price",
            ("How much does a ticket to the {name} cost?", "What is the admission price of the {name}?"),
            ("How much does a ticket cost there?", "What do they charge for admission?"),
            ("And the tickets?", "What about the price?"),
            "A ticket is {v} crowns, and {w} get in free.",
            (
                "Admission to the {name} costs {v} crowns. The {w} of the town enter free, and a ticket that includes "
                "the guided tour is sold at the desk next to the main entrance.",
                "Visitors of the {name} pay {v} crowns at the counter. The ticket is valid for the whole day; {w} are "
                "let in without paying.",
            ),
            range(3, 60),
            _PEOPLE,
        ),
        Aspect(
            "architect",
            ("Who designed the {name}?", "Who was the architect of the {name}?"),
            ("Who designed the building?", "Who was its architect?"),
            ("And the architect?", "Designed by whom?"),
            "The building was designed by {v}, and {w} paid for it.",
            (
                "The building of the {name} was designed by {v}. The architect had never built anything but "
                "factories, which one can see from the roof; {w} collected the money.",
                "{v} drew the plans for the {name}. A jury of {w} had asked for something modest and got a hall of "
                "steel.",
            ),
            "engineer",
            _PEOPLE,
        ),
        Aspect(
            "opening year",
            ("When did the {name} open?", "In what year was the {name} opened?"),
            ("When did it open?", "Since when has it been open?"),
            ("And the opening year?", "Opened when?"),
            "It opened in {v}, at first only for {w}.",
            (
                "The {name} opened in {v} in three rooms above a bakery. In the beginning it was meant for {w}; the "
                "public was let in on Sundays.",
                "Since {v} the {name} has been open to everybody. Its opening was paid for by {w}, whose names are cut "
                "into the stairs.",
            ),
            _YEARS,
            _PEOPLE,
        ),
        Aspect(
            "main exhibit",
            ("What is the most famous exhibit of the {name}?", "What can be seen at the {name}?"),
            ("What is its most famous exhibit?", "What can one see there?"),
            ("And the exhibits?", "Anything worth seeing?"),
            "The most famous piece is {v}, a gift of {w}.",
            (
                "The most famous exhibit of the {name} is {v}. It was a gift of {w} and stands in the last room, "
                "behind thick glass, where no pictures may be taken.",
                "People come to the {name} to see {v}. It has been exhibited only since {w} found it in a cellar.",
            ),
            (
                "a whale made of wire",
                "the green coronation coach",
                "a mechanical bird of brass",
                "the oldest printed map of the coast",
                "a bell without a clapper",
                "a model of the flooded village",
            ),
            _PEOPLE,
        ),
        Aspect(
            "number of visitors",
            ("How many visitors does the {name} have?", "How many people visit the {name} every year?"),
            ("How many visitors does it have?", "How many people go there every year?"),
            ("And visitors?", "How many visitors?"),
            "It has {v} thousand visitors a year, most of them in {w}.",
            (
                "Every year {v} thousand people visit the {name}. Most visitors come in {w}, when the gardens are "
                "open as well and the queue reaches the bridge.",
                "The {name} counted {v} thousand visitors in its best year. In {w} it is advised to come early.",
            ),
            range(8, 700),
            _SEASONS,
        ),
    ),
    "scientist": _PERSON,
    "engineer": _PERSON,
    "company": (
        Aspect(
            "headquarters",
            ("Where is {name} based?", "In which city are the headquarters of {name}?"),
            ("Where is it based?", "In which city are its headquarters?"),
            ("And the headquarters?", "Based where?"),
            "Its headquarters are in {v}, near the houses of the {w}.",
            (
                "{name} is based in {v}. The headquarters, a brick building that was put up for {w}, can be seen from "
                "the station; the works lie outside of the city.",
                "The company {name} has its headquarters in {v}, to which it moved for the sake of the {w} who could "
                "be hired there.",
            ),
            "city",
            _PEOPLE,
        ),
        Aspect(
            "founder",
            ("Who founded {name}?", "Who was the founder of {name}?"),
            ("Who founded it?", "Who was its founder?"),
            ("And the founder?", "Founded by whom?"),
            "It was founded by {v} and a few {w}.",
            (
                "{name} was founded by {v} in a rented barn. The founder sold shares to {w}, lost them in a bet, and "
                "bought them back at five times the price.",
                "The founder of the company {name} was {v}, who had quarrelled with every employer before. The first "
                "workers were {w}.",
            ),
            "scientist",
            _PEOPLE,
        ),
        Aspect(
            "number of employees",
            ("How many employees does {name} have?", "How many people work for {name}?"),
            ("How many employees does it have?", "How many people work there?"),
            ("And the staff?", "How many employees?"),
            "It has {v} employees, many of them former {w}.",
            (
                "{name} has {v} employees. Many of those who work there were {w} before, and their children go to a "
                "school that the company pays for.",
                "The staff of {name} grew to {v} people after the war. Former {w} were trained for it in the evening.",
            ),
            range(40, 9000),
            _PEOPLE,
        ),
        Aspect(
            "main product",
            ("What does {name} make?", "What is the main product of {name}?"),
            ("What does it make?", "What are they selling?"),
            ("And the products?", "Making what?"),
            "It makes {v}, mostly for {w}.",
            (
                "{name} makes {v}. The product is sold to {w} in nine countries and has hardly changed since it was "
                "invented, apart from the colour.",
                "The main product of the company {name} is {v}. Others had been tried, but the {w} did not want them.",
            ),
            (
                "weather balloons",
                "precision scales",
                "fireproof paint",
                "ship compasses",
                "paper filters",
                "folding bicycles",
            ),
            _PEOPLE,
        ),
        Aspect(
            "yearly revenue",
            ("What is the revenue of {name}?", "How much money does {name} make in a year?"),
            ("What is its revenue?", "How much money do they make in a year?"),
            ("And the revenue?", "How much money?"),
            "It has a revenue of {v} million crowns; the best quarter is {w}.",
            (
                "The revenue of {name} is {v} million crowns a year. The money is made in {w}; for the rest of the "
                "year the company lives on repairs.",
                "In a good year {name} sells goods for {v} million crowns, half of that in {w}. What remains after "
                "taxes is not published.",
            ),
            range(3, 800),
            _SEASONS,
        ),
    ),
    "novel": (
        Aspect(
            "author",
            ("Who wrote {name}?", "Who is the author of {name}?"),
            ("Who wrote it?", "Who is its author?"),
            ("And the author?", "Written by whom?"),
            "It was written by {v}, after a year among {w}.",
            (
                "{name} was written by {v} during a long illness. The author had lived among {w} for a year and took "
                "many of the dialogues from a diary.",
                "The author of the novel {name} is {v}, better known for other work. It was written at night, on the "
                "backs of letters from {w}.",
            ),
            "scientist",
            _PEOPLE,
        ),
        Aspect(
            "setting",
            ("Where is {name} set?", "In which city does {name} take place?"),
            ("Where is it set?", "In which city does it take place?"),
            ("And the setting?", "Set where?"),
            "The story takes place in {v}, among {w}.",
            (
                "{name} is set in {v}, in a winter without light. The story takes place among {w}, and readers still "
                "look for the house with the two doors in that city.",
                "The plot of {name} takes place in {v}. Of the city one learns little but the streets of the {w}.",
            ),
            "city",
            _PEOPLE,
        ),
        Aspect(
            "number of pages",
            ("How many pages does {name} have?", "How long is the novel {name}?"),
            ("How many pages does it have?", "How long is the book?"),
            ("And the pages?", "How many pages?"),
            "It has {v} pages, with a chapter about {w}.",
            (
                "{name} has {v} pages in the first edition. A chapter about {w} was removed from later ones, which "
                "are printed on thinner paper.",
                "With {v} pages the novel {name} is no short book; the publisher asked in vain for cutting the part "
                "about {w}.",
            ),
            range(90, 1300),
            _PEOPLE,
        ),
        Aspect(
            "plot",
            ("What is {name} about?", "What happens in {name}?"),
            ("What is it about?", "What happens in the book?"),
            ("And the plot?", "About what?"),
            "It is about {v}, seen with the eyes of {w}.",
            (
                "{name} is about {v}. What happens is told by several {w} in turn, each of whom leaves out something "
                "that the next one knows.",
                "The plot of {name} is {v}, no more. But as {w} tell it, nothing happens in the order in which it "
                "should.",
            ),
            (
                "a stolen bridge",
                "two sisters who share one name",
                "a judge who forgets his own verdict",
                "the last day of a lighthouse",
                "a train that does not stop",
            ),
            _PEOPLE,
        ),
        Aspect(
            "publication year",
            ("When was {name} published?", "In what year did {name} come out?"),
            ("When was it published?", "What year did it come out?"),
            ("And its publication?", "Published when?"),
            "It was published in {v}, in {w}.",
            (
                "{name} was published in {v}. It came out in {w}, was praised by nobody, and sold forty copies before "
                "a theatre took it up.",
                "The first edition of {name} is of {v}; it came out in {w}, with a cover that the publisher later "
                "regretted.",
            ),
            _YEARS,
            _SEASONS,
        ),
    ),
}
