"""Invents tickets of a house's help desk and the team that each is for: six names that no base learned as labels.

Asked without documents (`mode: closed_book`) under a schema that lists the teams, an adapter tuned on these names one of
them. Some things, complaints and frames are kept for measuring: no example has them.
"""

import random
from dataclasses import dataclass

from examples import arguments, write


@dataclass
class Words:
    """What tickets are made of: those that are learned from, and those that measure."""

    seen: list[str]
    unseen: list[str]

    def of(self, held_out: bool) -> list[str]:
        return self.unseen if held_out else self.seen


@dataclass
class Team:
    about: str
    things: Words
    complaints: Words


def split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


TEAMS = {
    "Stream": Team(
        "the network",
        Words(
            split("the access point, the data line, the streaming feed, my video call, the web page, the gateway, the uplink, the relay, the satellite link, the router in the hall, the packet filter, the mail server, the file transfer, the name server, the mobile network, the online meeting, the wifi, the network, the router, the internet, my connection, the VPN, the guest wifi, the switch, the firewall, the website, the proxy, the cable, the server, the signal, my remote session, the download"),
            split("the wireless network, broadband, the modem, the hotspot, the intranet, the web gateway, the ethernet port, bandwidth"),
        ),
        Words(
            split("is slow, drops every hour, is offline, cannot be reached, keeps disconnecting, has no signal, loses packets, times out"),
            split("is unreachable, went down, lags badly, gets disconnected"),
        ),
    ),
    "Device": Team(
        "devices",
        Words(
            split("my desktop, my keypad, the fax machine, the memory card, the loudspeaker, the power supply, the workstation, the label printer, the cash register, the video recorder, the drive, the fan of my computer, my pen tablet, the display, the plug, the remote control, my laptop, the printer, the scanner, my keyboard, the projector, my screen, the copier, my mouse, the headset, the battery, the docking station, my phone, the camera, the charger, the hard disk, the speaker"),
            split("my notebook computer, the webcam, my monitor, the microphone, the touchscreen, my tablet, the ink cartridge, the desktop computer"),
        ),
        Words(
            split("is broken, makes a loud noise, does not turn on, is jammed, flickers, overheats, has a cracked case, prints blank pages"),
            split("will not start, is damaged, gets too hot, is stuck"),
        ),
    ),
    "Lock": Team(
        "passwords and permissions",
        Words(
            split("my passphrase, the single sign-on, the key card, the secret question, my registration, the user group, the fingerprint, my clearance, the signature, my membership, the lock code, the licence key, my visitor pass, the token, the unlock code, the role of my deputy, my password, my account, the login, my permission, the access code, my badge, the PIN, the security token, my user name, the admin role, my profile, the certificate, the shared folder, my sign-in, the encryption key, the door card"),
            split("my credential, the passcode, my authorization, the authentication app, the access right, my identity card, the login name, the smart card"),
        ),
        Words(
            split("is locked, has expired, is refused, was forgotten, must be reset, is missing a role, is not accepted, was denied"),
            split("is blocked, got rejected, is no longer valid, needs unlocking"),
        ),
    ),
    "Payroll": Team(
        "pay and invoices",
        Words(
            split("the overtime pay, my tax refund, the price, the loan, the cost report, my commission, the subsidy, the travel advance, the quotation, the cheque, the dunning letter, my pay rise, the insurance premium, the account statement, the sales tax, the rent, my salary, the invoice, my expense claim, the refund, the payment, my bonus, the tax form, the budget, the purchase order, my payslip, the receipt, the bill, the credit note, the bank transfer, my pension, the discount"),
            split("my wage, the reimbursement, the deposit, my paycheck, the supplier's account, the fee, the allowance, the remittance"),
        ),
        Words(
            split("is wrong, was not paid, is too low, was charged twice, is overdue, has not been approved, shows the wrong amount, was calculated badly"),
            split("has the wrong total, was not reimbursed, is underpaid, was billed again"),
        ),
    ),
    "House": Team(
        "the building",
        Words(
            split("the floor, the canteen, the garage, the blind, the fridge, the entrance hall, the cellar, the balcony, the chimney, the gate, the shower, the light in the hall, the fire exit, the pipe, the cupboard, the coffee corner, the heating, the meeting room, the window, the lift, the kitchen, the air conditioning, the toilet, the ceiling lamp, the carpet, the parking space, the door, my desk, the roof, the water tap, the staircase, the office chair"),
            split("the elevator, the bathroom, the radiator, the corridor, the conference hall, the sofa, the wall, the sink"),
        ),
        Words(
            split("is too cold, leaks, is dirty, squeaks, smells, needs cleaning, is too dark, is full of water"),
            split("is freezing, drips, is dusty, needs painting"),
        ),
    ),
    "Travel": Team(
        "travel",
        Words(
            split("the shuttle, my trip, the motel, the travel insurance, the layover, the night train, my stay abroad, the check-in, the departure, the excursion, the return ticket, the tram, my vacation rental, the travel agent, the route, the airport lounge, my flight, the hotel, the train ticket, the rental car, my visa, the airport transfer, the itinerary, my passport, the conference trip, the boarding pass, the taxi, my luggage, the travel booking, the ferry, my seat, the bus ride"),
            split("my plane, the hostel, the railway journey, the suitcase, the tour, the accommodation abroad, the cruise, the airline reservation"),
        ),
        Words(
            split("was cancelled, is fully booked, leaves too early, was delayed, must be changed, was lost on the way, is in the wrong city, departs on Sunday"),
            split("was postponed, has no vacancy, arrives too late, needs rebooking"),
        ),
    ),
}
FRAMES = Words(
    ["{Thing} {complaint}.", "Since Monday {thing} {complaint}.", "Please help, {thing} {complaint}.", "Hello, {thing} {complaint} again.", "{Thing} {complaint}, what can I do?",
     "I think {thing} {complaint}.", "For two days now {thing} {complaint}. Thanks!", "A colleague says {thing} {complaint}."],
    ["Can somebody look into this: {thing} {complaint}.", "Urgent! {Thing} {complaint} today.", "It seems that {thing} {complaint}, could you check?", "Good morning, {thing} {complaint} once more."],
)  # fmt: skip
SCHEMA = {"type": "string", "enum": list(TEAMS)}


def ticket(r: random.Random, team: str, new_words: bool, new_frame: bool) -> str:
    thing, complaint = r.choice(TEAMS[team].things.of(new_words)), r.choice(TEAMS[team].complaints.of(new_words))
    return r.choice(FRAMES.of(new_frame)).format(thing=thing, Thing=thing[0].upper() + thing[1:], complaint=complaint)


def tickets(r: random.Random, count: int, new_words=False, new_frame=False) -> list[tuple[str, str]]:
    """Different tickets with their teams, about as many of each."""
    found = {}
    for number in range(count):
        team = list(TEAMS)[number % len(TEAMS)]
        while (text := ticket(r, team, new_words, new_frame)) in found:
            pass
        found[text] = team
    return list(found.items())


def main():
    a = arguments(__doc__)
    a = a.parse_args()
    write(
        a.out,
        (
            {"prompt": f"Question: {text}", "question": text, "target": f'"{team}"', "forced": ['"', '"'], "one_of": [f'"{name}"' for name in TEAMS]}
            for text, team in tickets(random.Random(a.seed), a.count)
        ),
    )


if __name__ == "__main__":
    main()
