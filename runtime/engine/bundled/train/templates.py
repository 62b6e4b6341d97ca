"""Invented facts, as a company's handbook, wiki, tickets and contracts state them, with questions on them.

`{slot}` is filled with an invented value, `<a|b>` picks one wording. Statements and questions pick their wordings
independently, so that a question often uses other words than the sentence that answers it.
"""

import random
import re
from dataclasses import dataclass

ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fr gr kl pl st tr th sh".split()
VOWELS = "a e i o u ai ea io ou".split()
CODAS = "n r l x s m t nd rk th ns".split() + [""]
FIRST_NAMES = (
    "Anna Ben Carla David Elena Farid Grace Hugo Ines Jonas Kira Liam Maya Noor Oscar Priya Quentin Rosa Samir Tara Uma Victor Wei Yusuf Zoe "
    "Alice Bruno Chen Daria Erik Fatima George Helen Ivan Julia Karim Laura Marco Nadia Omar Paula Rafael Sofia Thomas Vera William"
).split()
LAST_NAMES = (
    "Adler Becker Costa Dubois Eriksen Fischer Garcia Hansen Ito Jensen Kowalski Larsen Moreau Novak Okafor Petrov Quinn Rossi Silva Tanaka "
    "Ueda Vogel Weber Xu Young Zhang Abbott Brandt Castro Diaz Ellis Foster Grant Hughes Iqbal Jordan Khan Lopez Meyer Nilsson"
).split()
TOWNS = (
    "Lisbon Hamburg Lyon Porto Gdansk Turin Bergen Ghent Leeds Malmo Graz Basel Seville Tallinn Utrecht Nantes Oslo Dublin Prague Vienna "
    "Boston Denver Austin Toronto Lagos Nairobi Osaka Seoul Lima Perth"
).split()
SYSTEMS = "server gateway library scheduler pump reactor engine camera printer router database parser service scanner toolkit drone cluster turbine sensor broker proxy cache portal pipeline dashboard".split()
BODIES = "Institute Laboratories Group Museum Foundation University Hospital Corporation Bank Society Council Library Railway Airport Observatory Logistics Insurance Partners Energy Foods".split()
UNITS = "seconds minutes hours days weeks months megabytes gigabytes metres kilometres kilograms litres volts watts percent users threads pages rooms seats requests".split()
MONTHS = "January February March April May June July August September October November December".split()
TEAMS = "payroll,legal,finance,security,platform,support,facilities,procurement,marketing,data,compliance,human resources,sales,quality,logistics,network,training,research,billing,product".split(",")
ITEMS = "laptop,monitor,headset,phone,desk chair,company car,badge,parking permit,printer,projector,tablet,keyboard,safety helmet,work uniform,travel card,docking station".split(",")
COLOURS = "red,green,blue,yellow,white,black,amber,purple,orange,grey,silver,brown".split(",")
MATERIALS = "copper,granite,oxygen,cotton,maple,ceramic,steel,plastic,bamboo,leather,glass,helium,rubber,titanium,wool,carbon fibre,aluminium,salt water,natural gas,diesel,hydrogen".split(",")
LEAVES = "parental,sick,study,annual,unpaid,emergency,bereavement,medical,sabbatical,volunteering,maternity,military".split(",")
JOBS = "a gardener,a software tester,the chief accountant,a translator,the head cook,a pilot,a night guard,a statistician,the press officer,a welder,a lecturer,the tax adviser,a librarian,the site manager,the data protection officer,a nurse".split(",")
DEEDS = "delete old files;print the full report;skip the slow tests;keep temporary data;show hidden entries;compress the archive;follow symbolic links;stop after the first error;write the log to disk;change the output folder;sort lines by date;retry failed uploads;disable colours;limit the search depth;encrypt the backup;list all users;update the index;merge two branches;restart the worker;rotate the keys;export the invoices".split(";")
FAULTS = "the disk is full;the user has no permission;the network is down;the input file is missing;the password has expired;the format is not supported;the memory limit was reached;the certificate is invalid;another process holds the lock;the table does not exist;the request was cancelled;the queue is empty;the clock is wrong;the path is too long;the licence has run out".split(";")
MISHAPS = "a flood,a fire,heavy snow,lightning,a falling tree,an earthquake,rust,a truck,strong wind,a power failure,mice,a burst pipe".split(",")
DOCUMENTS = "invoice,contract,expense report,timesheet,customer complaint,job application,purchase order,access request,incident report,audit file,medical certificate,delivery note,backup tape,security log,call recording,supplier offer".split(",")
WAYS = "by e-mail,in the staff portal,by telephone,in person at the front desk,through the ticket system,with the mobile app,on paper form B,by registered letter,in the shared calendar".split(",")
PLACES = "the second floor,the north wing,the basement,the canteen,building C,the main lobby,the archive room,the car park,the roof terrace,the east gate,meeting room Alder,the data centre".split(",")
TASKS = "reset a password,order new equipment,report an accident,book a meeting room,claim travel costs,request time off,change a bank account,report a lost badge,approve overtime,register a visitor,open a support case,update a home address,install new software,hire a contractor,cancel a subscription".split(",")
BENEFITS = "gym membership,lunch vouchers,a bicycle allowance,private health insurance,language courses,a public transport pass,childcare support,an annual bonus,a pension plan,home internet".split(",")
BANNED = "personal cloud storage,public wireless networks,shared passwords,unencrypted USB sticks,cash payments,private printers,gifts from suppliers,smoking,recording meetings,browser extensions".split(",")
BECAUSE = "the heating failed,a sensor was mounted upside down,two keys were swapped,the supplier changed the paint,the calendar used the wrong time zone,a cable was loose,the index had not been rebuilt,the invoice was sent twice,the filter was blocked".split(",")
EVERY = "every Monday,once a week,twice a year,every quarter,each night,every 15 minutes,once a month,every two years,daily,on the first working day of the month".split(",")


def invented_word(r: random.Random) -> str:
    syllables = "".join(r.choice(ONSETS) + r.choice(VOWELS) for _ in range(r.choice([1, 2, 2, 3])))
    return (syllables + r.choice(CODAS)).capitalize()


def person(r):
    if r.random() < 0.6:
        return f"{r.choice(FIRST_NAMES)} {r.choice(LAST_NAMES)}"
    return f"{invented_word(r)} {invented_word(r)}"


def number(r):
    return str(r.choice([r.randint(2, 20), r.randint(2, 99), r.randint(100, 999), r.randint(1000, 65535)]))


def entity(r):
    kind = r.random()
    if kind < 0.35:
        return f"the {invented_word(r)} {r.choice(SYSTEMS)}"
    if kind < 0.65:
        return f"{'the ' if kind > 0.5 else ''}{invented_word(r)} {r.choice(BODIES)}"
    return f"{invented_word(r)} {r.randint(2, 900)}" if kind < 0.8 else invented_word(r)


def date(r):
    day, month, year = r.randint(1, 28), r.choice(MONTHS), r.randint(1995, 2030)
    return r.choice([f"{day} {month} {year}", f"{month} {day}", f"{month} {day}, {year}", f"{year}-{r.randint(1, 12):02d}-{day:02d}"])


def money(r):
    return r.choice([f"${number(r)}", f"€{number(r)}", f"£{number(r)}", f"{number(r)} euros", f"{r.randint(1, 99)},{r.randint(0, 999):03d} dollars", f"${number(r)} million"])


def place(r):
    return r.choice(TOWNS) if r.random() < 0.5 else invented_word(r) + r.choice(["", "", " City", " Bay", " Valley"])


FILLERS = {
    "e": entity, "p": person, "l": place, "d": date, "$": money, "n": number, "x": invented_word,
    "q": lambda r: f"{number(r)} {r.choice(UNITS)}",
    "t": lambda r: f"{r.choice([2, 3, 5, 7, 10, 12, 14, 15, 20, 21, 25, 30, 45, 60, 90])} {r.choice(['days', 'working days', 'weeks', 'hours', 'months', 'minutes'])}",
    "y": lambda r: str(r.randint(1850, 2030)),
    "m": lambda r: r.choice([f"{r.randint(1, 23)}:{r.randint(0, 59):02d}", f"{r.randint(1, 12)} a.m.", f"{r.randint(1, 12)} p.m."]),
    "v": lambda r: f"{r.randint(0, 12)}.{r.randint(0, 20)}" + (f".{r.randint(0, 9)}" if r.random() < 0.4 else ""),
    "f": lambda r: f"--{r.choice('max min no use set show skip keep force allow'.split())}-{r.choice('depth retries cache color output links tests hosts logs time'.split())}",
    "g": lambda r: f"{invented_word(r).lower()}.{r.choice('timeout retries size path level limit mode workers port'.split())}",
    "i": lambda r: f"{r.choice(['INC', 'TCK', 'REQ', 'PO', 'HR', 'CASE'])}-{r.randint(100, 99999)}",
    "c": COLOURS, "w": MATERIALS, "h": LEAVES, "j": JOBS, "z": DEEDS, "s": FAULTS, "k": MISHAPS, "D": DOCUMENTS, "W": WAYS, "L": PLACES,
    "T": TASKS, "B": BENEFITS, "X": BANNED, "R": BECAUSE, "often": EVERY, "team": TEAMS, "item": ITEMS,
}  # fmt: skip

# attribute:kind, for "the A of E is V"; kinds are FILLERS keys
ATTRIBUTES = [a.split(":") for a in (
    "default timeout:q;maximum cache size:q;listening port:n;annual budget:$;founding year:y;chief engineer:p;head office:l;status light colour:c;housing material:w;"
    "retry limit:n;operating temperature:q;release date:d;project manager:p;storage capacity:q;monthly fee:$;minimum version:v;warranty period:t;serial number:n;"
    "test site:l;inspection date:d;power consumption:q;maximum weight:q;opening time:m;closing time:m;registration deadline:d;fuel:w;number of employees:n;"
    "main sponsor:p;backup interval:t;log retention:t;queue length:n;latest version:v;inventor:p;membership fee:$;total cost:$;average delay:q;"
    "route number:n;departure time:m;floor number:n;insulation:w;cable colour:c;debug flag:f;verbose option:f;top speed:q;range:q;largest customer:p;"
    "nearest station:l;contact person:p;filter material:w;batch size:n;buffer size:q;session length:t;ticket price:$;lead architect:p;primary region:l;expiry date:d;"
    "safety officer:p;door colour:c;sampling rate:n;construction year:y;renewal fee:$;output voltage:q;lens material:w;notice period:t;probation period:t;"
    "cost centre:n;approval limit:$;daily allowance:$;account manager:p;escalation contact:p;response time:t;payment term:t;credit limit:$;delivery date:d;"
    "data owner:p;maintenance window:m;on-call engineer:p;review cycle:t;office address:l;headcount:n;annual revenue:$;net profit:$;tax rate:q;gross margin:q"
).split(";")]  # fmt: skip
HELD_OUT_ATTRIBUTES = 16

ATTRIBUTE_STATEMENTS = [
    "The {a} of {e} is {v}.", "{E} has a {a} of {v}.", "For {e}, the {a} is set to {v}.", "{E} comes with a {a} of {v}.",
    "The documentation lists {v} as the {a} of {e}.", "In the case of {e}, the {a} was recorded as {v}.", "As for {e}, its {a} is {v}.",
    "{V} is the {a} for {e}.", "Regarding the {a}, {e} uses {v}.", "Since last year the {a} of {e} has been {v}.",
    "We report {v} for the {a} of {e}.", "{E} lists its {a} as {v}.", "The current {a} for {e} stands at {v}.", "{E} | {a} | {v}",
    "{A} ({e}): {v}", "{A} of {e}: {v}.",
]  # fmt: skip
HELD_OUT_STATEMENTS = [
    "Engineers confirmed that {e} runs with {v} as its {a}.", "Note that the {a} given for {e} in the annual report was {v}.",
    "On the data sheet of {e}, {v} appears under {a}.",
]  # fmt: skip
ATTRIBUTE_QUESTIONS = [
    "What is the {a} of {e}?", "What {a} does {e} have?", "Which {a} applies to {e}?", "Tell me the {a} of {e}.", "For {e}, what is the {a}?",
    "{E}: what is the {a}?", "What is listed as the {a} for {e}?", "Do you know the {a} of {e}?", "What value does {e} use for its {a}?",
    "{a} of {e}?", "Give the {a} for {e}.", "what's the {a} for {e}", "{e} {a}",
]  # fmt: skip
HELD_OUT_QUESTIONS = [
    "I would like to know which {a} {e} has.", "Can you look up the {a} that belongs to {e}?", "How is the {a} specified in the case of {e}?",
]  # fmt: skip

# one relation a line: statements separated by " / ", then "=>", then question@slot separated by " / "
RELATIONS = """
<Employees|Staff|All employees> <may|can> <take|use|have> up to {t} of {h} leave <per year|each year|a year>. / Up to {t} of {h} leave <is granted|is allowed> <every year|per calendar year>. / {h} leave is limited to {t}. => How <much|long> {h} leave <may employees take|can I take|do I get|am I allowed>?@t / What is the <limit|maximum|cap> for {h} leave?@t / How many days of {h} leave <are there|do employees have>?@t
<Unused|Remaining> <holiday|vacation|leave> days <may be|can be> <carried over|transferred|moved> <until|up to> {d}. / Employees <may|can> <carry over|keep> <unused|remaining> <leave|holiday> <until|up to> {d}. => Until when can I <use|take|keep> <last year's|leftover|old> <leave|holiday|vacation>?@d / When do <unused|leftover> <vacation|leave|holiday> days <expire|lapse>?@d
To {T}, <employees|staff|people> <must|should|need to> <write to|contact|ask> the {team} team. / The {team} team <handles|takes care of> requests to {T}. / If you <want|need> to {T}, <contact|talk to|write to> the {team} team. => Who <do I contact|should I ask|can help me> to {T}?@team / <Which|What> team <helps|is responsible> when I want to {T}?@team / How do I {T}?@team
<Employees|Staff> {T} {W}. / <You|Staff> can {T} {W}. / To {T}, use the form <available|submitted> {W}. => How <can I|do I|should employees> {T}?@W / What is the <way|procedure> to {T}?@W
<Every|Each|A> {D} <must|has to> be <approved|signed|checked> by {p}. / {p} <approves|signs|checks> <every|each> {D}. => Who <approves|signs|checks|signs off> <the|a|an> {D}?@p / Whose <approval|signature> <is needed|does a {D} need>?@p
<Every|Each|A> {D} is <kept|stored|retained> for {t}. / We <keep|retain|store> <every|each> {D} for {t} <before it is deleted|and then destroy it>. / The retention period for <a|an> {D} is {t}. => How long <is a {D} kept|do we keep a {D}|must a {D} be stored|are {D}s retained>?@t / When is <a|an> {D} <deleted|destroyed>?@t / What is the retention <time|period> for <a|an> {D}?@t
<A|Every|Each> {D} <must|should|has to> be <submitted|handed in|sent> <within|no later than> {t}. / <Submit|Send|Hand in> <the|your|every> {D} within {t}. => <By when|How soon|How fast> must I <submit|send|hand in> <a|my|the> {D}?@t / What is the deadline for <a|the> {D}?@t
<Expenses|Costs|Purchases> <above|over|of more than> {$} <need|require> <the approval of|a signature from> {p}. / {p} <must|has to> <approve|sign> <spending|purchases|expenses> <above|over|of more than> {$}. => Who <approves|signs> <large|big|high> <expenses|purchases|spending>?@p / <Above|From> what amount is <approval|a signature> <needed|required>?@$ / When does {p} have to <approve|sign> <expenses|purchases>?@$
The <hotel|meal|mileage|travel|training|relocation> <allowance|budget|limit> <is|amounts to> {$} per <night|day|person|year>. => How much <is|may I spend on> the <allowance|budget>?@$ / What is the <allowance|budget|limit>?@$
<The company|We> <pays|covers|reimburses> <up to|at most> {$} for {B}. / {B} <is|are> <covered|paid|reimbursed> <up to|to a maximum of> {$}. => How much does the company <pay|contribute|reimburse> for {B}?@$ / What is the <limit|maximum> for {B}?@$
<Employees|Staff|Workers> <receive|get|are entitled to> {B} after {t} <of service|with the company>. / After {t} <of service|of employment>, <employees|staff> <receive|get> {B}. => When do I <get|receive|qualify for> {B}?@t / What do employees <get|receive> after {t}?@B / How long must I <work|wait> before I <get|receive> {B}?@t
The use of {X} is <forbidden|not allowed|prohibited>. / {X} <is|are> <forbidden|prohibited|banned> <on site|for all staff|at work>. => Is {X} <allowed|permitted>?@X / May I use {X}?@X / What is <forbidden|banned|prohibited>?@X
{E} is <located|kept|found> <in|at> {L}. / You <can|will> find {e} <in|at> {L}. => Where <is|can I find> {e}?@L / In which <place|part of the building> is {e}?@L
The {team} <team|department> <sits|works|is based> in {L}. / <In|At> {L} you find the {team} <team|department>. => Where <does|is> the {team} <team|department> <sit|work|based>?@L / Which <team|department> is <in|at> {L}?@team
{p} <leads|heads|manages|runs> the {team} <team|department>. / The {team} <team|department> is <led|headed|managed> by {p}. / The head of the {team} <team|department> is {p}. => Who <leads|heads|manages|runs|is in charge of> the {team} <team|department>?@p / Who is the <head|manager|boss|leader> of {team}?@p / Which <team|department> does {p} <lead|manage|run>?@team
{p} <owns|is responsible for|looks after|maintains> {e}. / {E} is <owned|maintained|looked after> by {p}. / The owner of {e} is {p}. => Who <owns|maintains|is responsible for|looks after|takes care of> {e}?@p / What does {p} <own|maintain|look after>?@e
{E} is <backed up|checked|inspected|cleaned|serviced> {often}. => How often is {e} <backed up|checked|inspected|serviced>?@often / When is {e} <checked|serviced>?@often
A new {item} <can be|is> <ordered|requested> {W}. / <Order|Request> a new {item} {W}. => How <do|can> I <order|get|request> a <new|replacement> {item}?@W
<Every|Each> {item} is <replaced|renewed|exchanged> after {t}. / We <replace|renew> <every|each> {item} after {t}. => How often is <a|my> {item} <replaced|renewed>?@t / When do I get a new {item}?@t
A lost {item} must be reported to {p} within {t}. / <Report|Announce> a <lost|missing> {item} to {p} within {t}. => <Whom|Who> do I tell <about|when I lose> a {item}?@p / How <fast|quickly|soon> must a lost {item} be reported?@t / I lost my {item}, who needs to know?@p
The {item} costs {$} and is <paid|bought> by the {team} team. => How much does the {item} cost?@$ / Who pays for the {item}?@team / What is the price of the {item}?@$
<Passwords|Keys|Tokens|Certificates> <expire|must be changed|are rotated> <every|after> {t}. => How often <do passwords expire|must I change my password|are keys rotated|do certificates expire>?@t / How long is a <password|key|token|certificate> valid?@t
<Set|Change> {g} to {n} to {z}. / The setting {g} controls how <we|you> {z}; its default is {n}. => <Which|What> setting <is used to|lets me> {z}?@g / What is the default of {g}?@n / What does {g} <do|control>?@z
The default value of {g} is {n}. / {g} | {n} / If nothing is set, {g} is {n}. / {g} = {n} => What is the default <value|> of {g}?@n / What is {g} set to?@n / {g}@n
Use {f} to {z}. / The {f} option lets you {z}. / If you want to {z}, pass {f}. / To {z}, add {f} to the command line. => Which <option|flag|switch> <can be used|is needed> to {z}?@f / How do I {z}?@f / What does {f} do?@z / Which flag lets me {z}?@f
Error {n} means that {s}. / The code {n} is returned when {s}. / If {s}, the program exits with code {n}. => What does error {n} mean?@s / Which code is returned when {s}?@n / When does code {n} appear?@s / What happens if {s}?@n
{E} requires {e2} version {v} or <newer|later>. / You need version {v} of {e2} to run {e}. => What does {e} require?@e2 / Which version of {e2} is needed for {e}?@v
Ticket {i} was <opened|reported|raised> by {p} on {d}. / {p} <opened|reported|raised> {i} on {d}. / {i} | {p} | {d} => Who <opened|reported|raised> {i}?@p / When was {i} <opened|raised|reported>?@d / Which ticket did {p} open?@i
{i} was <closed|resolved|fixed> on {d} because {R}. / The <cause|reason> of {i} was that {R}. => Why <was {i} opened|did {i} happen>?@R / What <caused|was the cause of|was the reason for> {i}?@R
The outage of {e} <lasted|took> {t} and was caused by {k}. / {K} <took down|stopped> {e} for {t}. => How long <was|did the outage of> {e} <down|last>?@t / What caused the outage of {e}?@k / Why was {e} <down|unavailable>?@k
<The|Our> contract with {e} <ends|expires|runs out> on {d}. / On {d}, the contract with {e} <ends|expires>. => When does the contract with {e} <end|expire|run out>?@d / Which contract <ends|expires> on {d}?@e
<Either|Each> party may <terminate|cancel|end> the agreement with {e} with {t} notice. / The agreement with {e} can be <terminated|cancelled> with {t} notice. => What is the notice period for {e}?@t / How <much|long> notice is needed to <end|cancel|leave> the agreement with {e}?@t
{E} <supplies|delivers|sells> {w} to us for {$} a <month|year>. / We <buy|purchase> {w} from {e} for {$}. => Who <supplies|delivers|sells> {w}?@e / How much do we pay {e}?@$ / What <do we buy|does the company buy> from {e}?@w
Invoices from {e} <are|must be> paid within {t}. / {E} <expects|wants> payment within {t}. => How <quickly|soon> must {e} be paid?@t / What is the payment term for {e}?@t
{E} was founded in {y} by {p}. / {p} <founded|established|started> {e} in {y}. / In {y}, {p} <established|created> {e}. => Who <founded|started|established|created> {e}?@p / When was {e} <founded|established|created>?@y / In what year did {p} <found|start> {e}?@y / What did {p} <found|create>?@e
{E} is located in {l}. / {E} has its <main building|headquarters|seat> in {l}. / You can find {e} in {l}, near the river. => Where is {e} <located|based|situated>?@l / In which <place|city|town> is {e}?@l / What is located in {l}?@e
{p} won the {x} prize in {y}. / The {x} prize of {y} <went|was awarded> to {p}. => Who <won|received|got> the {x} prize?@p / When did {p} win the {x} prize?@y / Which prize did {p} win?@x
The train to {l} leaves at {m} from platform {n}. / At {m} the train to {l} <departs|leaves> from platform {n}. => When does the train to {l} <leave|depart>?@m / From which platform does the train to {l} depart?@n
{p} works as {j} at {e}. / At {e}, {p} is employed as {j}. / {E} hired {p} as {j}. => Where does {p} work?@e / What is the <job|role|position> of {p}?@j / Who works as {j}?@p / Who is {j} at {e}?@p / What does {p} do?@j
{E} costs {$} and weighs {q}. / With a weight of {q}, {e} sells for {$}. => How much does {e} cost?@$ / What is the <price|cost> of {e}?@$ / How heavy is {e}?@q / What is the weight of {e}?@q
{E} is made of {w} and painted {c}. / Painted {c}, {e} is built from {w}. => What is {e} made of?@w / What colour is {e}?@c / Which material is used in {e}?@w
{p} moved from {l} to {l2} in {y}. / In {y}, {p} left {l} for {l2}. => Where did {p} move to?@l2 / Where did {p} live before {y}?@l / When did {p} move?@y
{E} sends a report every {q} to {p}. / Every {q}, {e} mails a report to {p}. => How often does {e} send a report?@q / Who <receives|gets> the report of {e}?@p
{E} was <damaged|hit> by {k} on {d}. / On {d}, {k} damaged {e}. => What damaged {e}?@k / When was {e} damaged?@d / What was damaged by {k}?@e
The <village|town> of {l} has {n} inhabitants and lies {q} from {l2}. => How many <inhabitants|people> <does {l} have|live in {l}>?@n / How far is {l} from {l2}?@q / What is the population of {l}?@n
{p} discovered {e} while studying {w}. / While working on {w}, {p} discovered {e}. => Who discovered {e}?@p / What was {p} studying?@w / What did {p} discover?@e
{p} designed {e} for {p2}. / {E} was designed by {p} for {p2}. => Who designed {e}?@p / For whom was {e} designed?@p2 / What did {p} design?@e
The <office|canteen|reception|warehouse|help desk> in {l} <opens|is open from> at {m}. / In {l}, <doors|offices> open at {m}. => When does <the office|the canteen|it> in {l} open?@m / What time can I come to the office in {l}?@m
<Visitors|Guests|Contractors> <must|have to> <sign in|register> at {L} <and wear a {c} badge|and carry a {c} badge>. => Where do <visitors|guests> <sign in|register>?@L / What colour is the badge of <visitors|guests>?@c
In case of {k}, <everyone meets|staff assemble|gather> at {L}. / The meeting point <after|in case of> {k} is {L}. => Where do we <meet|go|gather> <in case of|if there is|when there is> {k}?@L / What is the <meeting|assembly> point for {k}?@L
<Overtime|Extra hours|Weekend work> <is|are> paid at {n} percent of the <normal|usual> <rate|wage>. => How <is overtime paid|are extra hours paid|is weekend work paid>?@n / What <rate|percentage> applies to <overtime|weekend work>?@n
Salaries are <paid|transferred> <on|by> day {n} of <the|each> month. / <Payday|The pay date> is day {n} of the month. => When <do I get paid|are salaries paid|is payday|is the salary transferred>?@n
New <employees|hires|colleagues> <attend|complete|finish> {x} training within {t}. => How soon must new <hires|employees> <complete|attend> the {x} training?@t / Which training do new <employees|hires> <attend|complete>?@x
<Remote work|Working from home> is <allowed|possible> {n} days a week for the {team} team. / The {team} team may <work from home|work remotely> {n} days a week. => How <many days|often> can the {team} team work <from home|remotely>?@n / Who may work from home {n} days a week?@team
Revenue of {e} <rose|grew|increased> by {q} to {$} in {y}. / In {y}, {e} had <sales|revenue> of {$}, up {q}. => How much <revenue|sales> did {e} have in {y}?@$ / By how much did <revenue|sales> of {e} <grow|rise|increase>?@q
"""
HELD_OUT_RELATIONS = """
{p} composed the {x} symphony in {l} during {y}. => Who composed the {x} symphony?@p / Where was the {x} symphony composed?@l / Which symphony did {p} compose?@x
{E} borrowed {$} from {e2} to buy {w}. => How much did {e} borrow?@$ / Who lent money to {e}?@e2 / What did {e} want to buy?@w
{p} climbed mount {l} in {t}, carrying {n} letters. => Which mountain did {p} climb?@l / How long did {p} need to climb mount {l}?@t / How many letters did {p} carry?@n
The {c} button on {e} starts the {x} pump. => What does the {c} button on {e} start?@x / Which button starts the {x} pump?@c
<Desks|Seats> in {L} are reserved for the {team} team until {m}. => Who may sit in {L}?@team / Until what time are desks in {L} reserved?@m
The insurance pays {$} if {k} destroys {e}. => What amount is paid when {e} is destroyed?@$ / Which damage to {e} is insured?@k
{p} teaches the course on {w} for {n} students. => Who gives the course on {w}?@p / How many students follow the course on {w}?@n
The samples from {l} were sent to {e} on {d}. => Where did the samples from {l} go?@e / When were the samples from {l} sent?@d
"""

TITLES = "Leave policy;Travel and expenses;IT security;Onboarding;Procurement;Facilities;Payroll;Data retention;Contracts;Incident log;Settings;Benefits;Working time;Health and safety;Suppliers;Release notes;Visitors;Operations handbook".split(";")
TITLE_PARTS = "Overview;Limits;Approval;Deadlines;Exceptions;Contacts;Scope;Details;Annual rules;Part 2;Definitions;Table".split(";")


@dataclass
class Fact:
    """A sentence with (question, answer) pairs."""

    sentence: str
    asked: list[tuple[str, str]]


def parse(block):
    relations = []
    for line in block.strip().splitlines():
        left, right = line.split(" => ")
        relations.append((left.split(" / "), [tuple(q.rsplit("@", 1)) for q in right.split(" / ")]))
    return relations


TRAIN_RELATIONS, TEST_RELATIONS = parse(RELATIONS), parse(HELD_OUT_RELATIONS)


def slots_in(text):
    return [s for s in re.findall(r"\{([^}]+)\}", text)]


def base(slot):
    """`e2` is a second `e`; a capital E, V, K or A alone starts a sentence."""
    return slot[:-1] if slot[-1].isdigit() and len(slot) > 1 else slot


def fill(slot, r):
    filler = FILLERS[base(slot)]
    return filler(r) if callable(filler) else r.choice(filler)


def capital(text):
    return text[:1].upper() + text[1:]


def render(template, values, r):
    """Chooses wordings and puts values in; `{E}` is the value of `{e}` (capitalised later)."""
    worded = re.sub(r"<([^<>]*)>", lambda m: r.choice(m.group(1).split("|")), template)
    text = re.sub(r"\{([^}]+)\}", lambda m: values[m.group(1)] if m.group(1) in values else capital(values[m.group(1).lower()]), worded)
    return capital(re.sub(r"  +", " ", text).replace(" ?", "?"))


def attribute_pools(held_out):
    shuffled = ATTRIBUTES[:]
    random.Random(3).shuffle(shuffled)
    return shuffled[:HELD_OUT_ATTRIBUTES] if held_out else shuffled[HELD_OUT_ATTRIBUTES:]


def values_for(relation, r, entities):
    names = {s for t in relation[0] for s in slots_in(t)} | {s for q, a in relation[1] for s in (*slots_in(q), a)}
    values = {}
    for name in sorted(names):
        plain = name.lower() if name in {"E", "V", "K", "A"} else name
        if plain not in values:
            values[plain] = r.choice(entities) if plain == "e" and r.random() < 0.4 else fill(plain, r)
    return values


def facts(r, count, held_out):
    """`count` facts about a few shared entities, and questions near to them that nothing answers."""
    entities = [entity(r) for _ in range(max(2, count // 2))]
    relations = TEST_RELATIONS if held_out else TRAIN_RELATIONS
    attributes = r.sample(attribute_pools(held_out), 6)
    asks = ATTRIBUTE_QUESTIONS + (HELD_OUT_QUESTIONS * 4 if held_out else [])
    states = HELD_OUT_STATEMENTS * 3 + ATTRIBUTE_STATEMENTS if held_out else ATTRIBUTE_STATEMENTS
    made, used, tries = [], set(), 0
    few = r.sample(relations, 2)  # the same relation several times makes near misses
    while len(made) < count and tries < 60:
        tries += 1
        if r.random() < 0.4:
            who, (attribute, kind) = r.choice(entities), r.choice(attributes)
            if (who, attribute) in used:
                continue
            used.add((who, attribute))
            values = {"e": who, "a": attribute, "v": fill(kind, r)}
            made.append(Fact(render(r.choice(states), values, r), [(render(q, values, r), values["v"]) for q in r.sample(asks, 2)]))
            continue
        relation = r.choice(few) if r.random() < 0.3 else r.choice(relations)
        values = values_for(relation, r, entities)
        keys = {(id(relation), values[s]) for s in values if len(slots_in(relation[0][0])) < 3 or s in "ezshTDiXk" or s in ("team", "item")}
        if keys & used:
            continue
        used |= keys
        statement = r.choice(relation[0])
        sentence = render(statement, values, r)
        pairs = [(render(q, values, r), values[a]) for q, a in relation[1] if values[a].lower() in sentence.lower()]
        pairs = [(q, a) for q, a in pairs if all(v.lower() in sentence.lower() for v in values.values() if len(v) > 1 and v.lower() in q.lower())]
        if pairs:
            r.shuffle(pairs)
            made.append(Fact(sentence, pairs[:3]))
    return made, near_misses(r, made, used, entities, attributes, relations, asks)


def near_misses(r, made, used, entities, attributes, relations, asks):
    stated = " ".join(f.sentence for f in made).lower()
    missing = []
    for _ in range(5):
        if r.random() < 0.45:
            who = r.choice(entities) if r.random() < 0.7 else entity(r)
            attribute = r.choice(attributes)[0]
            if (who, attribute) not in used:
                missing.append(render(r.choice(asks), {"e": who, "a": attribute, "v": ""}, r))
            continue
        relation = r.choice(relations)
        values = values_for(relation, r, entities)
        question, _ = r.choice(relation[1])
        names = slots_in(question)
        if names and not any((id(relation), values[n]) in used for n in names) and not all(values[n].lower() in stated for n in names):
            missing.append(render(question, values, r))
    return missing


def title(r):
    return r.choice(TITLES) if r.random() < 0.4 else f"{r.choice(TITLES)} > {r.choice(TITLE_PARTS)}"


if __name__ == "__main__":
    for held in (False, True):
        stated, missing = facts(random.Random(1), 12, held)
        for fact in stated:
            print(fact.sentence, "|", fact.asked)
        print("nothing answers:", missing)
