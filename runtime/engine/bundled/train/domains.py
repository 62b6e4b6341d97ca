"""What pages of many fields are made from: things with properties, and rules with questions in other words.

`<a|b>` picks a wording, `{slot}` an invented value as in templates.py. Fields are generic; none is taken from a real document.
"""

# kind of thing: article: things, each with other names for it after `=`
THINGS = """
Ticket:the:day ticket=ticket for one day,weekly pass=pass for a week,monthly pass,single ticket=one-way ticket,return ticket,group ticket=ticket for a group,family card=family ticket,night ticket,student pass=ticket for students,annual season ticket=yearly ticket,child ticket=ticket for kids,senior ticket=ticket for pensioners
Plan:the:Basic plan,Standard plan,Gold plan,Silver plan,Bronze plan,Starter plan,Premium plan,Family plan,Team plan,Unlimited plan,Free plan,Pro plan
Room:the:reading room=place to read,seminar room,concert hall,swimming pool=pool,sauna,gym=fitness room,playroom=room for children,laundry room=place to wash clothes,kitchen,library,workshop,music room,prayer room,bicycle cellar=place for bikes,garden house,terrace,bar,dining hall=place to eat
Vehicle:the:small van=van,minibus,cargo bicycle=cargo bike,electric car=e-car,trailer,motorcycle=motorbike,rowing boat,forklift,tractor,ambulance,snowplough,ferry,pick-up truck,tram,sleeper train=night train
Exam:the:oral exam=oral,written exam=written test,thesis=dissertation,lab report,entrance test=admission test,driving test,language certificate,final presentation=talk at the end,term paper=essay,practical exam
Account:the:savings account,current account=checking account,credit card,student loan,mortgage=home loan,car loan,business account,youth account=account for young people,fixed deposit,overdraft,travel card,pension fund
Treatment:the:blood test,flu vaccination=flu shot=jab against flu,x-ray,eye test=check of the eyes,dental cleaning=cleaning of the teeth,massage,hearing test,allergy test,physiotherapy,skin check=check for moles,heart scan,travel vaccination=vaccines for a trip
Course:the:beginners' course=course for beginners,yoga class,first aid course,pottery class,swimming lesson,German course,cooking class,photography workshop,chess club,choir,dance class,sewing course,climbing course
Device:the:washing machine=washer,dishwasher,refrigerator=fridge,vacuum cleaner=hoover,water heater=boiler,smoke alarm=fire detector,coffee machine=coffee maker,lawn mower,air conditioner=cooling,router,television=TV,electric kettle,toaster,sewing machine,drill,projector=beamer
Document:the:passport,identity card=ID,residence permit,birth certificate,driving licence=driver's license,parking permit,fishing licence,dog tax form,building permit=permission to build,marriage certificate,tax return=tax declaration,visa,library card
Product:the:hiking boots=walking shoes,rain jacket=coat for rain,tent,sleeping bag,rucksack=backpack,head torch=headlamp,water bottle,camping stove=cooker,climbing rope,sunglasses,ski poles,life jacket,travel pillow,wool socks
Animal:the:guinea pig,parrot=bird,horse,rabbit,goldfish=fish,tortoise=turtle,sheepdog=dog,Siamese cat=cat,donkey,hamster,budgerigar,goat,llama
Food:the:apple pie,lentil soup,fish curry,mushroom risotto=rice with mushrooms,goat cheese salad,beef stew,vegetable lasagne,chocolate cake,onion tart,pumpkin soup,fruit salad,rye bread
Plant:the:tomato,apple tree,lavender,rose,sunflower,potato,strawberry,oak,fern,basil,cactus,orchid,pumpkin,leek
Service:the:home delivery=delivery to the door,gift wrapping,assembly service=putting together,window cleaning,key cutting,left luggage=place for suitcases,airport transfer=ride to the airport,room service,bicycle repair=fixing bikes,phone support=help by phone,tax advice,shoe repair,printing service,babysitting=childcare,removal service=moving help,pick-up service
Place:the:town hall,city museum,central library,old harbour,botanical garden,zoo,main station=train station,north cemetery,open-air theatre,observatory,sports centre,castle,lighthouse,market hall,youth hostel,ice rink
Post:the:parcel=package,letter,registered letter,express parcel,postcard,small packet,printed matter,money order,oversized parcel=very big package,business mail
Waste:the:paper bin,glass container,organic waste=food waste=kitchen scraps,garden waste=leaves and grass,bulky waste=old furniture,batteries,old clothes,paint and solvents=paint,electrical scrap=old electronics,residual waste=rubbish=garbage,plastic packaging,used oil
Membership:the:youth membership=membership for young people,family membership,honorary membership,guest membership,corporate membership=membership for firms,supporting membership,lifetime membership,trial membership
Function:the:export job,import wizard,backup job,search index,mail connector,sync client,report generator,login page,audit trail,payment module,image converter,spell checker,job queue,session store,file watcher,rate limiter
Material:the:oak board,copper pipe,roof tile,insulation foam,steel beam,window glass,floor carpet,wall paint,plasterboard,gravel,cement,sand,brick
Event:the:summer festival,job fair,book sale,flea market,open day=day of the open door,Christmas concert,charity run,science night,harvest festival,film week,poetry evening,tournament,annual meeting=yearly assembly,wine tasting
Role:the:treasurer=person for the money,caretaker=janitor,lifeguard,librarian,night porter,head gardener,stage manager,school nurse,bus driver,zookeeper,sound engineer,cook,receptionist=person at the desk,secretary,coach=trainer,tour guide
Country::Norway,Portugal,Japan,Canada,Brazil,Kenya,Poland,Ireland,Chile,Vietnam,Iceland,Morocco,New Zealand,Greece,Mexico,Finland
City::Lyon,Turin,Bergen,Leeds,Graz,Seville,Utrecht,Denver,Osaka,Perth,Lagos,Lima,Gdansk,Ghent,Malmo,Nantes
Code::E-101,E-102,E-205,W-17,W-23,F-330,F-331,S-4,S-9,X-60,X-61,H-12,H-13,K-7
Level::Level 1,Level 2,Level 3,Level 4,Grade A,Grade B,Grade C,Class I,Class II,Class III,Zone 1,Zone 2,Zone 3,Category S,Category M,Category L
Setting::cache.size,retry.count,session.lifetime,upload.limit,log.level,worker.threads,mail.timeout,page.length,index.shards,backup.hour,token.lifetime,queue.depth,image.quality,poll.interval
Person::Ada Winter,Bo Larsson,Carmen Ruiz,Dev Patel,Eva Horn,Finn Murphy,Gita Rao,Hal Brooks,Ida Falk,Jon Reed,Kaya Demir,Leo Martin,Mina Sato,Nils Berg,Olga Petrova,Paul Keller
"""

# names of the property | statements | questions | kind of value (a slot of templates.py, or words separated by `;`)
PROPERTIES = """
price,cost,fee,charge,amount to pay|{E} costs {v}. / The {a} for {e} is {v}. / For {e} we charge {v}. / You pay {v} for {e}.|How much does {e} cost? / What do I pay for {e}? / What is the price of {e}? / How expensive is {e}? / How much money do I need for {e}? / What does {e} cost? / {e} price?|$
validity,valid for|{E} is valid for {v}. / {E} expires after {v}. / After {v}, {e} is no longer accepted.|How long is {e} valid? / How long can I use {e}? / When does {e} expire? / For how long does {e} last? / When does {e} run out?|t
capacity,seats,places,maximum number of people|{E} holds up to {n} people. / There is space for {n} people in {e}. / {E} has {n} places.|How many people fit into {e}? / How big a group can {e} take? / How many places does {e} have? / What is the capacity of {e}? / How many can take part in {e}?|n
location,where to find it,place,address|{E} is at {v}. / You find {e} at {v}. / {E} is located in {v}.|Where is {e}? / Where do I find {e}? / How do I get to {e}? / Where should I go for {e}? / In which place is {e}?|L
contact,person responsible,responsible,in charge,owner|{v} is responsible for {e}. / Please contact {v} about {e}. / {v} looks after {e}. / Questions about {e} go to {v}.|Who is responsible for {e}? / Who do I ask about {e}? / Who looks after {e}? / Who can help me with {e}? / Whom should I call about {e}? / Who is in charge of {e}? / Who handles {e}?|p
deadline,last date,apply by,closing date|Applications for {e} close on {v}. / You must apply for {e} by {v}. / The deadline for {e} is {v}.|By when do I have to apply for {e}? / What is the deadline for {e}? / Until when can I register for {e}? / When is it too late for {e}? / How long do I have to sign up for {e}?|d
opening hours,open from,opens at|{E} opens at {v}. / {E} is open from {v}. / From {v} on you can use {e}.|When does {e} open? / From what time is {e} open? / How early can I come to {e}? / At what time does {e} start?|m
closes at,closing time,open until|{E} closes at {v}. / {E} is open until {v}. / The last visitors leave {e} at {v}.|When does {e} close? / Until what time is {e} open? / How late can I stay at {e}? / When do I have to leave {e}?|m
minimum age,age|{E} is for people aged {n} and over. / You must be at least {n} years old for {e}. / The minimum age for {e} is {n}.|How old do I have to be for {e}? / From what age is {e} allowed? / What is the minimum age for {e}? / Is there an age limit for {e}? / Is my child old enough for {e}?|n
weight,maximum weight,load|{E} may weigh up to {v}. / The weight limit of {e} is {v}. / {E} weighs {v}.|How heavy may {e} be? / What is the weight of {e}? / How many kilos does {e} have? / How much does {e} weigh?|{n} kilograms
length,size,height,dimensions|{E} measures {v}. / The {a} of {e} is {v}. / {E} has a {a} of {v}.|How big is {e}? / How long is {e}? / What are the dimensions of {e}? / What size is {e}? / How tall is {e}?|{n} centimetres;{n} metres;{n} by {n2} cm
frequency,how often,interval|{E} takes place {v}. / {v}, {e} is held. / {E} is offered {v}.|How often is {e} held? / How many times is {e} offered? / How frequently does {e} take place? / When is the next {e}?|often
maintenance,cleaned,checked|{E} is cleaned {v}. / {E} has to be serviced {v}. / We inspect {e} {v}.|How often is {e} cleaned? / When is {e} serviced? / How frequently is {e} checked? / When was maintenance planned for {e}?|often
notice,cancellation,notice period|{E} can be cancelled {v} in advance. / {E} ends with {v} notice. / To cancel {e}, give {v} notice.|How do I cancel {e}? / How much notice is needed to end {e}? / Until when can I cancel {e}? / How soon before must I call off {e}? / How can I get out of {e}?|t
discount,reduction|Members get {n} percent off {e}. / There is a discount of {n} percent on {e}. / {E} is {n} percent cheaper for members.|How much cheaper is {e} for members? / Is there a discount on {e}? / What reduction do members get on {e}? / How much do I save on {e}?|{n} percent
deposit,security|A deposit of {v} is due for {e}. / You leave {v} as a deposit for {e}. / {E} requires a deposit of {v}.|How much deposit do I leave for {e}? / What is the deposit for {e}? / What security do you ask for {e}?|$
delivery time,waiting time,takes,processing time|{E} takes {v}. / Allow {v} for {e}. / {E} is ready within {v}. / The waiting time for {e} is {v}.|How long does {e} take? / How long do I have to wait for {e}? / When will {e} be ready? / How fast do I get {e}? / How soon is {e} done?|t
warranty,guarantee|{E} comes with a guarantee of {v}. / The warranty on {e} lasts {v}. / Defects of {e} are covered for {v}.|How long is the warranty on {e}? / For how long is {e} guaranteed? / {e} broke, is it still under guarantee? / How long are repairs of {e} free?|t
colour,color|{E} is {v}. / The colour of {e} is {v}. / {E} comes in {v}.|What colour is {e}? / Which colour does {e} have? / In which colours can I get {e}?|c
material,made of|{E} is made of {v}. / {E} consists of {v}. / We make {e} from {v}.|What is {e} made of? / Which material is used for {e}? / What does {e} consist of?|w
language,languages|{E} is held in {v}. / The language of {e} is {v}. / {E} is available in {v}.|In which language is {e}? / What language do they speak in {e}? / Is {e} available in another language?|English;French;Spanish;Polish;Italian;Dutch;Turkish;Arabic;Swedish;Czech
requirement,needed,you need,condition|For {e} you need {v}. / {E} requires {v}. / Bring {v} for {e}.|What do I need for {e}? / What must I bring for {e}? / Which papers are required for {e}? / What are the conditions for {e}?|a photo;two photographs;proof of address;a doctor's note;a signed form;a recent payslip;your passport;a letter from your school;a reservation;a bank statement;the original receipt;a medical certificate;a towel;sturdy shoes
speed,maximum speed|{E} reaches {v}. / The top speed of {e} is {v}. / {E} goes up to {v}.|How fast is {e}? / What is the top speed of {e}? / How quick is {e}?|{n} km/h;{n} metres per second
consumption,energy,power|{E} uses {v}. / The consumption of {e} is {v}. / {E} needs {v}.|How much power does {e} use? / What is the consumption of {e}? / How much electricity does {e} need?|{n} watts;{n} kilowatt hours;{n} litres per hour
temperature,temperature range|Keep {e} at {v}. / {E} needs a temperature of {v}. / {E} is kept at {v}.|How warm should {e} be? / At what temperature is {e} kept? / How cold may it get for {e}? / Which temperature is right for {e}?|{n} degrees;{n} to {n2} degrees
origin,comes from,supplier|{E} comes from {v}. / {v} supplies {e}. / We get {e} from {v}.|Where does {e} come from? / Who supplies {e}? / What is the origin of {e}? / Where do you buy {e}?|l
limit,maximum,quota|{E} is limited to {q}. / The maximum for {e} is {q}. / No more than {q} are allowed for {e}.|What is the limit for {e}? / How much is allowed for {e}? / What is the most I can have for {e}? / Is there a maximum for {e}?|q
default,default value|{E} is set to {n} by default. / The default of {e} is {n}. / Unless changed, {e} is {n}.|What is the default of {e}? / What is {e} set to if I change nothing? / Which value does {e} start with? / {e} default value?|n
telephone,phone number,extension|{E} can be reached on {v}. / For {e}, dial {v}. / The number for {e} is {v}.|What is the phone number for {e}? / Which number do I call for {e}? / How can I phone {e}? / How do I reach {e}?|0{n} {n2};extension {n};+49 {n} {n2}
meaning,explanation,cause|{E} means that {s}. / {E} is shown when {s}. / The cause of {e} is that {s}.|What does {e} mean? / Why do I see {e}? / What is the cause of {e}? / I get {e}, what is wrong?|s
what to do,remedy,action|If you see {e}, {v}. / In the case of {e}, {v}. / {E}: {v}.|What should I do about {e}? / How do I fix {e}? / {e} appears, what now? / What helps against {e}? / How do I get rid of {e}?|restart the device;call the caretaker;check the cable;empty the filter;wait ten minutes;update the software;replace the battery;close the main valve;sign in again;free some space;reinstall the driver;clean the sensor
start date,begins,starts|{E} starts on {v}. / {E} begins on {v}. / The first day of {e} is {v}.|When does {e} start? / On what day does {e} begin? / When is the first day of {e}?|d
end date,ends,last day|{E} ends on {v}. / The last day of {e} is {v}. / {E} runs until {v}.|When does {e} end? / Until when does {e} go on? / When is {e} over? / What is the last day of {e}?|d
population,inhabitants,visitors|{E} has {v}. / In {e} we counted {v}. / {v} were recorded for {e}.|How many people are in {e}? / How many were counted for {e}? / What number was recorded for {e}?|{n} inhabitants;{n} visitors;{n} thousand guests
revenue,sales,turnover|{E} brought in {v}. / Sales of {e} were {v}. / {E} earned {v}.|How much did {e} earn? / What were the sales of {e}? / How much money came from {e}? / What was the turnover of {e}?|$
dose,amount,quantity|{E} needs {v}. / Use {v} for {e}. / The right amount for {e} is {v}.|How much do I need for {e}? / What is the right amount for {e}? / What quantity is used for {e}?|{n} grams;{n} millilitres;two spoons;{n} drops;half a cup
prize,grant,allowance,support|{E} is supported with {v}. / You receive {v} for {e}. / The grant for {e} is {v}.|How much support is there for {e}? / How much do I get for {e}? / What is paid for {e}? / What is the grant for {e}?|$
penalty,fine|Damage to {e} costs a fine of {v}. / Misuse of {e} is fined with {v}. / Without {e} you pay a fine of {v}.|What is the fine for {e}? / What happens if I break the rules on {e}? / How much is the penalty for {e}? / What do I pay if I misuse {e}?|$
"""

# field => rule / the same in other words => questions that it answers, mostly in other words
RULES = """
hotel => Breakfast is served <in the conservatory|on the ground floor> until {m}. / The breakfast buffet closes at {m}. => Until when can I eat in the morning? / When is the last time for breakfast? / Where or until when do I get something to eat in the morning?
hotel => Guests check out by {m}. / Rooms must be vacated by {m} on the day of departure. => When do I have to leave my room? / What is the latest time to check out? / How long may I stay in the room on my last day?
hotel => Towels are changed <every second day|when they are left on the floor>. => How do I get fresh towels? / How often do you bring clean towels?
hotel => Pets are welcome for a charge of {$} per night. / A dog costs {$} a night. => Can I bring my dog? / Are animals allowed in the rooms? / What do I pay for my cat?
hotel => Smoking is only permitted on the balconies. / The whole house is smoke-free except for the balconies. => Where may I have a cigarette? / Am I allowed to smoke in my room?
hotel => Cribs are provided free of charge on request. / A baby bed can be placed in the room at no cost. => Do you have a bed for our baby? / What does a cot for an infant cost?
hotel => The garage has {n} spaces, which cannot be reserved. / Parking spaces are given to whoever comes first. => Can I book a place for my car? / Where do I leave my car? / Is there parking?
hotel => The front desk is staffed around the clock. / Reception is open day and night. => Can I arrive after midnight? / Is someone there at night? / When is the front desk open?
library => Borrowed books are returned within {t}. / The lending period is {t}. => How long may I keep a book? / When do I have to bring books back? / For how long can I borrow something?
library => A book that nobody else has reserved can be renewed {n} times. / You may extend a loan {n} times. => Can I keep my book longer? / How often can I extend a loan? / I have not finished reading, what can I do?
library => For each day of delay a charge of {$} is made. / Late items cost {$} per day. => What happens if I am late with my books? / What do I pay when I forget to return something? / Is there a fine for overdue items?
library => Reference works may only be used on the premises. / Encyclopedias cannot be taken home. => Can I borrow an encyclopedia? / May I take a dictionary with me? / Which books must stay in the building?
library => A lost card is replaced for {$}. / For a new card after a loss we ask {$}. => I can't find my library card, what now? / What does a replacement card cost? / My card is gone, how much is another one?
library => Drinks in closed bottles are allowed, food is not. / You may bring a bottle with a lid, but nothing to eat. => May I eat my sandwich here? / Is it OK to bring coffee or water? / Can I have lunch at the desks?
library => Groups book the study rooms <online|at the counter> up to {t} ahead. => Where can we learn together? / How do we reserve a room for our group? / How early can a study room be booked?
gym => Children under {n} may only enter with an adult. / Those younger than {n} need to be accompanied. => Can my daughter come alone? / From what age may kids come without parents? / Do I need to go with my son?
gym => Lockers must be emptied every evening. / Padlocks left overnight are cut off. => Can I leave my things in the locker? / May I keep my clothes there until tomorrow? / What happens to a lock that stays on?
gym => Clean indoor shoes have to be worn in the training area. / Street shoes are not allowed on the floor. => What should I wear on my feet? / Can I train in my outdoor shoes? / Which footwear is required?
gym => A membership can be paused for up to {t} because of illness or pregnancy. / Sick or pregnant members may suspend their contract for {t}. => I am expecting a baby, what about my contract? / Can I put my membership on hold? / I broke my leg, do I have to go on paying?
gym => Members may bring a friend free of charge once a month. / One guest a month comes in for free. => Can my friend try it out? / What does it cost to take somebody along? / How often can I bring a guest?
landlord => Music must be kept at room volume after {m}. / Quiet hours begin at {m}. => When do I have to be quiet? / Until when may we play loud music? / My neighbour makes noise at night, from when is that forbidden?
landlord => The stairwell has to be kept free of prams and bicycles. / Nothing may be parked in the hallway. => Can I leave my bike in the hall? / Where may I put the stroller? / May I store things on the stairs?
landlord => Repairs under {$} are paid by the tenant. / Tenants bear small repairs up to {$}. => Who pays if the tap drips? / Do I have to pay for a broken handle myself? / Up to what amount do I carry repairs?
landlord => Subletting needs the written consent of the owner. / Rooms may only be let to others with written permission. => Can I rent out my room while I am away? / Is it allowed to have somebody else live in my flat for a while? / May I list my apartment for tourists?
landlord => The rent is due on day {n} of each month. / Rent is to be paid by the {n}th. => When do I pay for the flat? / By what day must the rent arrive? / When is my money due?
landlord => Barbecues with charcoal are prohibited on balconies. / On balconies only electric grills may be used. => May I grill on my balcony? / Is it okay to have a barbecue? / What kind of grill is allowed?
landlord => Broken heating is reported to the caretaker on {n}. / In case the radiators stay cold, call {n}. => My apartment is freezing, what should I do? / Whom do I call if it does not get warm? / The radiator does not work, who helps?
landlord => The deposit is paid back within {t} after moving out. / Tenants receive their deposit {t} after the keys were handed over. => When do I get my security money back? / How long does it take until the deposit is returned? / I move out, when is my money refunded?
university => Students register for exams <in the portal|at the office> by {d}. / Registration for exams closes on {d}. => Until when can I sign up for the tests? / What is the last day to enrol for an examination? / Where or when do I put my name down for the exam?
university => A failed exam may be repeated {n} times. / There are {n} further attempts after a fail. => I did not pass, can I try again? / How often can I retake a test? / What happens if I fail?
university => Illness must be proved with a certificate within {t}. / Sick students hand in a doctor's note within {t}. => I was ill on the day of the exam, what do I need? / How quickly must I send the paper from my doctor? / What do I do if I am too sick to come?
university => Attendance at seminars is compulsory; {n} absences are tolerated. / Students may miss {n} sessions. => How many classes can I skip? / Do I have to be there every time? / How often may I be absent?
university => Copying from others without naming the source leads to exclusion. / Plagiarism is punished with exclusion from the course. => What happens if I copy a text from the internet? / How is cheating punished? / What if somebody steals parts of another paper?
university => Tuition may be paid in {n} instalments. / The fees can be split into {n} payments. => Do I have to pay everything at once? / Can I pay bit by bit? / Into how many parts can the fees be divided?
university => Dormitory places are given out by lot. / A draw decides who gets a room in the residence. => How do I get a place to live? / How are rooms assigned? / Who gets a bed in the dorm?
bank => A stolen card is blocked on {n} at any hour. / To stop a card, ring {n}. => Someone took my wallet, what number do I call? / How do I block my card? / My card was lost, what now?
bank => Cash withdrawals abroad cost {$} each. / Drawing money in another country is charged with {$}. => What do I pay at a machine on holiday? / Is it free to get cash in a foreign country? / How much is a withdrawal overseas?
bank => Transfers that arrive before {m} are booked the same day. / Orders given by {m} are carried out at once. => Until when must I send money so that it arrives today? / When is my payment made? / How late can I order a transfer for the same day?
bank => After {n} wrong entries the PIN is locked. / The code is blocked when it was mistyped {n} times. => How often may I type the wrong number? / Why is my PIN locked? / What happens if I forget my code?
bank => Interest is credited at the end of <the year|every quarter>. / The account earns interest that is paid out <yearly|quarterly>. => When do I get my interest? / When is the money I earned on savings added?
bank => Early repayment of a loan costs {n} percent of the rest. / Paying a loan back sooner carries a fee of {n} percent. => Can I pay off my debt before the end? / What does it cost to finish my credit earlier?
clinic => Visitors are welcome between {m} and {m2}. / Visiting time is from {m} to {m2}. => When can I see my mother on the ward? / At what hours may relatives come? / When are visits possible?
clinic => Nothing should be eaten for {t} before the operation. / Patients fast for {t} before surgery. => Can I have breakfast before they operate on me? / How long before must I stop eating? / How long do I go without food?
clinic => Appointments that are not cancelled {t} before are charged. / Missed appointments without notice of {t} must be paid. => I cannot come, until when do I have to tell you? / What happens if I don't show up? / Do I pay if I miss my visit?
clinic => Prescriptions are ready for collection after {t}. / A repeat prescription takes {t}. => I need more of my pills, how long does it take? / When can I pick up my medicine slip? / How soon do I get the recipe for my drugs?
clinic => Outside opening hours the duty doctor answers {n}. / At night and at weekends call the emergency doctor on {n}. => Who helps me when the practice is closed? / I feel very ill on Sunday, whom do I ring? / Which number is there for nights?
clinic => Mobile phones must be switched off in the scanner area. / No telephones are allowed near the scanners. => Can I use my phone during the scan? / Where is it forbidden to make calls?
airline => Hand luggage may weigh up to {n} kilograms. / One cabin bag of {n} kilograms is included. => How heavy can my carry-on be? / What may I take on board? / What is the weight limit for the bag I keep with me?
airline => Check-in closes {t} before departure. / Passengers must have checked in {t} before take-off. => How early do I have to be there? / Until when can I drop my bags? / When is it too late to board?
airline => If a flight is delayed by more than {t}, meals are provided. / Passengers who wait for over {t} get something to eat. => My plane is late, do I get food? / When does the company pay for a meal? / What am I entitled to if we leave late?
airline => Sports equipment is carried for {$}. / Skis, surfboards and bicycles cost {$} extra. => What do I pay for my bike? / Can I take my skis? / How much is a surfboard?
airline => A name on a booking can be corrected free of charge within {t}. / Spelling mistakes in names are put right at no cost for {t}. => I misspelled my name, what can I do? / How long can I change the passenger's name? / There is a typo in my ticket, is fixing it free?
airline => Unaccompanied children between {n} and {n2} are looked after by our staff. => Can my son fly alone? / Who takes care of a child that travels without parents? / How old must a child be to fly by itself?
museum => Photographs may be taken without flash. / Taking pictures is allowed, but without a flash. => Can I use my camera? / May I take photos? / Is filming with light okay?
museum => Bags larger than a sheet of paper go into the cloakroom. / Big bags have to be handed in at the cloakroom. => Can I take my backpack inside? / Where do I leave my suitcase? / What do I do with my luggage?
museum => On the first Sunday of the month admission is free. / Nobody pays on the first Sunday of a month. => Is there a day without an entrance fee? / When can I get in for nothing? / How can I save the ticket money?
museum => Touching the exhibits is forbidden. / Visitors must keep their hands off the objects. => May I touch the statues? / Can children feel the objects?
museum => Guided tours in sign language are held {often}. => Is there something for deaf visitors? / When are tours for people who cannot hear?
museum => Wheelchairs are lent out at the entrance. / You can borrow a wheelchair at the door. => My father cannot walk far, what do you offer? / Do you have help for people with limited mobility? / Where can I get a wheelchair?
city => Dogs must be kept on a lead in all parks. / In parks, a leash is compulsory. => Can my dog run free? / Where do I have to leash my dog? / May I let my puppy off in the park?
city => Hedges may not be cut between {d} and {d2} because of nesting birds. => When am I allowed to trim my hedge? / May I cut the bushes in my garden now? / Why can I not prune in spring?
city => Anyone who moves registers the new address within {t}. / A change of address is reported within {t}. => I have moved, how much time do I have to tell you? / By when must I register my new home? / What do I do after changing my flat?
city => Bulky waste is collected after an appointment was made <online|by phone>. => How do I get rid of my old sofa? / Who picks up broken furniture? / Where do I put my old mattress?
city => Snow on pavements must be cleared by {m}. / House owners sweep away snow until {m}. => Who has to shovel the sidewalk? / Until when must the path be free in winter? / How early do I need to remove ice?
city => Fires in gardens are only allowed with a permit. / Burning garden waste needs permission. => Can I burn leaves? / May we have a bonfire at our party? / Is it permitted to light a fire outside?
city => Street musicians move on after {t}. / Buskers may play {t} in one place. => How long can I perform in the square? / May I play the guitar in the street? / Do I need to change my spot as a busker?
city => Weddings take place in the town hall on <Fridays|Saturdays>. => On which days can we get married? / When do you marry couples? / Where is the ceremony held?
school => Parents excuse a sick child by {m}. / If a pupil is ill, call the office before {m}. => My son has a fever, what should I do? / Until when must I phone if my daughter cannot come? / How do I report that my kid is absent?
school => Mobile phones stay switched off during lessons. / Pupils put their phones away in class. => Can my child use a smartphone at school? / When must phones be off?
school => Lunch is ordered <online|with the app> until {m} on the day before. / Meals must be chosen by {m} the day before. => How do I get a warm meal for tomorrow? / Until when can we pick the food? / How does the canteen know what my child eats?
school => Lost property is kept by the caretaker for {t}. / Things that were found are stored for {t}. => My daughter forgot her jacket, where could it be? / How long do you keep items that were left behind? / Who has the things that people lost?
school => The school provides tablets, which remain its property. / Tablets are on loan and go back when a pupil leaves. => Does my child have to buy a computer? / Who owns the tablet? / Can we keep the device after school?
school => Swimming lessons are part of the timetable in year {n}. => In which class do they learn to swim? / When does my child have swimming?
shop => Unused goods may be returned within {t} with the receipt. / We take back what was not used for {t}. => I don't like what I bought, can I bring it back? / How long can I exchange something? / What do I need to give something back? / Until when do I get my money back?
shop => Orders over {$} are shipped free of charge. / Shipping costs nothing from {$}. => From what amount is delivery free? / Do I pay for postage? / When do you send things at no extra cost?
shop => Opened underwear and cosmetics cannot be exchanged. / Hygiene articles are excluded from returns once opened. => Can I give back a cream that I tried? / What can not be returned? / Can I swap a lipstick?
shop => Gift cards are valid for {t} and are not paid out in cash. / A voucher can be used for {t}. => How long can I use my voucher? / Can I get money for a gift card? / When does the present card run out?
shop => Damaged deliveries are reported with a photo within {t}. / If a parcel arrives broken, send us a picture within {t}. => My order came in pieces, what should I do? / The vase was cracked when I unpacked it, how do I complain? / By when must I tell you about transport damage?
shop => Spare parts are available for {t} after a model is discontinued. / We keep parts for old models for {t}. => Can I still get parts for a machine that is not sold any more? / How long can my old model be repaired?
software => Deleted files stay in the bin for {t}. / Files that were removed can be brought back for {t}. => I deleted something by mistake, can I get it back? / How long can I restore a file? / When is something gone for good?
software => Uploads are limited to {n} megabytes per file. / No file may be larger than {n} megabytes. => How big can an attachment be? / Why can't I upload my video? / What is the largest file that I can send?
software => Two people can edit a page at the same time; the changes are merged. / Pages may be edited by several people together. => Can my colleague write while I am in the document? / What happens if we both change the text?
software => The free version shows advertisements. / Advertisements appear unless you pay. => How do I get rid of the ads? / Why do I see commercials? / What is the drawback of not paying?
software => Logs are written to the folder {x}. / You find the log files in {x}. => Where can I see what went wrong? / Where does the program write its messages?
software => A user who was inactive for {t} is signed out. / Sessions end after {t} without activity. => Why do I have to log in again? / How long can I be idle? / When am I logged off?
software => Invoices are sent to the e-mail address of the account's owner. => Where do I get the bill? / Who receives the invoices? / I need a receipt for my taxes, where is it?
software => Version {v} dropped support for 32-bit systems. / Since {v}, only 64-bit systems are supported. => Can I still run it on my old 32-bit computer? / From which release on do I need a 64-bit machine?
transport => Bicycles travel free outside rush hour. / Outside the peak hours you can take a bike at no charge. => Can I bring my bike on the train? / What does it cost to carry a bicycle? / When may I not take my bike along?
transport => Travelling without a ticket costs {$}. / Anyone found without a valid ticket pays {$}. => What is the fine if I don't buy a ticket? / How much is it if I get caught? / What happens to fare dodgers?
transport => Found items can be collected at {L}. / Lost things end up at {L}. => I left my umbrella on the bus, where do I go? / Where can I get back what I forgot on the tram?
transport => Seats marked in {c} are reserved for people with disabilities. / Disabled passengers have the {c} seats. => Who may use the {c} places? / Where can I sit with my wheelchair? / Which seats should I leave free?
transport => Children under {n} ride free of charge. / No fare is charged for those younger than {n}. => Do I need to buy a ticket for my kid? / How old can a child be to go for free? / Up to what age is it free?
transport => If a train is more than {t} late, half of the fare is refunded. / Half of the price is paid back after a delay of {t}. => My train was late, do I get money back? / How much compensation is there? / From what delay on can I claim something?
club => The court is booked for at most {t} a day. / Nobody may play longer than {t} a day. => How long can we play? / For how many hours can I reserve the court?
club => The annual fee is collected in {d}. / Fees are debited on {d}. => When do I pay my contribution? / On which date is the money taken from my account?
club => New members are elected by the board. / The board decides on who may join. => How can I become a member? / Who decides if I am let in? / Whom do I have to convince to get in?
club => Boats may only be used by those who hold a swimming badge. / Rowers have to prove that they can swim. => Can I row if I cannot swim? / What do I have to show before I take a boat?
club => The clubhouse can be hired for private parties for {$}. / Members rent the house for celebrations at {$}. => Can I celebrate my birthday there? / What does it cost to have a wedding at your place?
farm => Eggs are sold from the machine at the gate at any time. / The vending machine at the gate has eggs day and night. => Where can I buy eggs on Sunday? / Can I get eggs when you are closed?
farm => Cows graze outside from {d} to {d2}. / The cattle are in the meadow between {d} and {d2}. => When are the animals on the pasture? / How long do the cows stay outdoors?
farm => Strawberries may be picked by visitors for {$} a kilogram. / Pick your own strawberries: {$} per kilogram. => Can I harvest berries myself? / What do I pay for fruit that I gather? 
farm => The field track is closed to cars. / No cars may drive on the track through the fields. => Can I drive up to you by car? / May I use the dirt road with my vehicle?
insurance => Damage is reported within {t}. / Claims have to be made within {t} after the event. => How quickly do I have to tell you that something broke? / By when must I hand in a claim? / Something happened to my house, how long can I wait?
insurance => Bicycles are only covered if they were locked. / Theft of a bike is paid if it was locked. => Somebody stole my bike, will you pay? / What is the condition for a stolen cycle?
insurance => The own share is {$} per claim. / You carry the first {$} of each damage yourself. => How much do I pay myself? / What part of the damage is not paid by you? / What is my excess?
insurance => Gross negligence leads to a reduction of the payment. / Those who were very careless receive less. => I left the stove on, do I get everything? / What happens if it was my own fault?
"""
HELD_OUT_RULES = """
theatre => Latecomers are let in at the interval. / Those who arrive after the start wait until the break. => I will be late for the play, when do I get in? / Can I enter after it has begun? / What happens to people who are not on time?
theatre => Returned tickets are resold only if the house is full. / We sell your ticket on when every seat is taken. => I cannot go, can I give my ticket back? / When do you resell a seat?
theatre => Coats are left at the cloakroom for {$}. / The cloakroom takes {$} a coat. => What does it cost to hand in my jacket? / Where do I hang my coat?
camping => Cars may not be driven on the site after {m}. / From {m} on the site is closed to traffic. => Can I arrive by car late in the evening? / Until when may I drive to my tent?
camping => Tents are pitched on numbered places only. / Put up your tent on a place with a number. => Where can I set up my tent? / May I camp wherever I like?
camping => Hot water for washing up is free, showers cost {$}. / A shower costs {$}. => Do I have to pay to wash myself? / What does a warm shower cost?
camping => Firewood is sold at the kiosk. / The kiosk has wood for fires. => Where do I get something to burn? / Can I buy logs?
dentist => Teeth are cleaned {often}. / We recommend a cleaning {often}. => How often should I come for a check? / When is it time to have my teeth polished again?
dentist => Crowns are guaranteed for {t}. / If a crown breaks within {t} it is replaced for nothing. => My crown came off, what do I pay? / How long is a crown under guarantee?
dentist => Patients who are afraid can have a calming gas. / Nervous patients are offered laughing gas. => I am scared of the drill, what can you do? / Is there something for anxious people?
"""
