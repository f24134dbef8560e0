/** E-mail by SMTP; the mails of one run answer its first one, so that readers show them as one conversation. */
import { ApplicationFailure } from '@temporalio/common';
import type { EmailChannel } from '../../topology/channels.ts';
import type { Kept, NotifyCall } from '../contract.ts';
import { forGood } from './post.ts';
import { textOf, titleOf } from './words.ts';

/** Of each part of the conversation, in milliseconds. */
const PATIENCE_MS = 8_000;

export async function tellByMail(
  channel: EmailChannel,
  call: NotifyCall,
  password: string | null,
): Promise<Kept | null> {
  const { run, event, card, kept } = call;
  // The same for every attempt: a server, or a reader, can tell a repeat.
  const messageId = `<${event.number}.${run.runId}@rampart.invalid>`;
  await sendMail(channel, password, {
    ...{ messageId, subject: `[Rampart] ${titleOf(card)}: ${event.name}`, text: textOf(card, event) },
    important: event.severity === 'error',
    ...(kept === null ? {} : { answers: kept.first }),
  });
  return { first: kept?.first ?? messageId };
}

export interface Mail {
  subject: string;
  text: string;
  messageId: string;
  important: boolean;
  /** Id of the message it belongs to. */
  answers?: string | undefined;
}

/** Sends one mail. @throws ApplicationFailure when the server does not take it */
export async function sendMail(
  { host, port, tls, user, from, to }: EmailChannel,
  password: string | null,
  { subject, text, messageId, important, answers }: Mail,
): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const transport = createTransport({
    ...{ host, port, secure: tls === 'implicit', requireTLS: tls === 'starttls', ignoreTLS: tls === 'none' },
    ...(user === undefined || password === null ? {} : { auth: { user, pass: password } }),
    ...{
      connectionTimeout: PATIENCE_MS,
      greetingTimeout: PATIENCE_MS,
      socketTimeout: PATIENCE_MS,
      dnsTimeout: PATIENCE_MS,
    },
    ...{ disableFileAccess: true, disableUrlAccess: true },
  });
  try {
    await transport.sendMail({
      ...{ from, to, messageId, subject, text },
      ...(answers === undefined ? {} : { inReplyTo: answers, references: answers }),
      headers: { 'Auto-Submitted': 'auto-generated', ...(important ? { Importance: 'high' } : {}) },
    });
  } catch (error) {
    throw failureOfMail(error as SmtpError, `${host}:${port}`);
  } finally {
    transport.close();
  }
}

interface SmtpError extends Error {
  code?: string;
  responseCode?: number;
}

/** The server's own words may hold what was sent to it: only its code is told. */
function failureOfMail({ code, responseCode }: SmtpError, server: string): ApplicationFailure {
  const said = [code, responseCode].filter((part) => part !== undefined).join(' ') || 'no reason given';
  if (code === 'EAUTH') return forGood(`${server} refuses the login (${said})`);
  if (code === 'ETLS') return forGood(`${server} offers no TLS, which is required (${said})`);
  if (responseCode !== undefined && responseCode >= 500) return forGood(`${server} refuses the mail (${said})`);
  return ApplicationFailure.retryable(`${server} does not take the mail (${said})`, 'ProviderUnavailable');
}
