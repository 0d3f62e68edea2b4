"""Sends e-mail by SMTP."""

import smtplib
import socket
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from ci.notifying.bodies import mail_text
from ci.notifying.channel import NotToldError, Parcel
from ci.settings import MailSettings


def send(mail: MailSettings, parcel: Parcel) -> None:
    """Send one message to all recipients.

    Args:
        mail: Through whom, to whom.
        parcel: Its secrets are `username` and `password`, where the server asks.

    Raises:
        NotToldError: The server does not answer, refuses it or one of the recipients.
    """
    text = mail_text(parcel.news, parcel.message, parcel.language)
    letter = _letter(mail, parcel.message.title, text)
    try:
        with _connect(mail, parcel) as server:
            if "password" in parcel.secrets:
                server.login(parcel.secrets["username"], parcel.secrets["password"])
            refused = server.send_message(letter)
    except (OSError, smtplib.SMTPException) as error:
        raise NotToldError(f"{type(error).__name__}: {error}") from error
    if refused:
        raise NotToldError(f"the server refused {', '.join(sorted(refused))}, and took the others")


def _letter(mail: MailSettings, subject: str, text: str) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = subject
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.recipients)
    letter["Date"] = formatdate()
    letter["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"  # holiday notices do not answer it
    letter.set_content(text)
    return letter


def _connect(mail: MailSettings, parcel: Parcel) -> smtplib.SMTP:
    """A connection as safe as asked for; this machine's own name is not looked up for it."""
    me, timeout, trust = socket.gethostname(), parcel.timeout_seconds, parcel.trust
    if mail.security == "tls":
        return smtplib.SMTP_SSL(mail.host, mail.port, me, timeout=timeout, context=trust)
    server = smtplib.SMTP(mail.host, mail.port, me, timeout=timeout)
    try:
        if mail.security == "starttls":
            server.starttls(context=trust)
    except BaseException:
        server.close()
        raise
    return server
