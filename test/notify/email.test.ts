/** Mails, in a real SMTP conversation. */

import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { freePorts } from '../../lab/ports.ts';
import type { EmailChannel } from '../../topology/channels.ts';
import { CARD, event, failureOf, teller, WAITING } from './call.ts';

interface Mail {
  to: string[];
  text: string;
}

let server: SMTPServer | undefined;
let port: number;
let mails: Mail[];

async function serve(options: SMTPServerOptions = {}): Promise<void> {
  [port] = (await freePorts(1)) as [number];
  server = new SMTPServer({
    ...{ disabledCommands: ['STARTTLS'], authOptional: true, allowInsecureAuth: true },
    onData: (stream, session, done) => {
      let text = '';
      stream.setEncoding('utf8');
      stream.on('data', (part: string) => {
        text += part;
      });
      stream.on('end', () => {
        // Soft line breaks of quoted-printable, and its bytes, are the mail's own writing.
        mails.push({ to: receivers(session), text: text.replaceAll('=\r\n', '') });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => server!.listen(port, '127.0.0.1', resolve));
}

const receivers = ({ envelope }: SMTPServerSession): string[] => envelope.rcptTo.map(({ address }) => address);

beforeEach(() => {
  mails = [];
  vi.stubEnv('SMTP_PASSWORD', 'a-mail-password');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(resolve)));
  server = undefined;
});

const channel = (more: Partial<EmailChannel> = {}): EmailChannel => ({
  ...{ name: 'mail', type: 'email', host: '127.0.0.1', port, tls: 'none' },
  ...{ from: 'rampart@example.com', to: ['ops@example.com', 'dev@example.com'] },
  ...{ events: [], severity: 'info', services: [], drills: false, ...more },
});

test('says what happened, how the run stands and what to do; the mails of a run are one conversation', async () => {
  await serve();
  const mail = teller(channel());
  const { kept } = await mail.tell('run-started');
  const again = await mail.tell('approval-required', { card: WAITING, kept, event: event('approval-required', 2) });
  expect(again.kept).toEqual(kept);
  const [first, second] = mails as [Mail, Mail];
  expect(first.to).toEqual(['ops@example.com', 'dev@example.com']);
  expect(first.text).toContain('Message-ID: <1.0192f0c0-run@rampart.invalid>');
  expect(first.text).toContain('Auto-Submitted: auto-generated');
  expect(second.text).toContain('In-Reply-To: <1.0192f0c0-run@rampart.invalid>');
  expect(second.text).toContain('rampart approve checkout --gate cutover.1');
  expect(second.text).toMatch(/^ {2}loss: bounded: 3 s/m);
});

test('no line of a header can be slipped in by what somebody typed', async () => {
  await serve();
  await teller(channel()).tell('run-started', { card: { ...CARD, from: 'eu-west\r\nBcc: eve@example.com' } });
  expect(mails[0]!.text.split('\r\n\r\n')[0]).not.toMatch(/^Bcc:/m);
  expect(mails[0]!.to).toHaveLength(2);
});

test('a server that offers no TLS gets nothing when TLS is asked for', async () => {
  await serve();
  const failure = await failureOf(teller(channel({ tls: 'starttls' })).tell('run-started'));
  expect(failure.message).toContain('ETLS');
  expect(failure.nonRetryable).toBe(true);
  expect(mails).toEqual([]);
});

test('a wrong password is final, and is not told', async () => {
  await serve({ authOptional: false, onAuth: (_auth, _session, done) => done(new Error('no: a-mail-password')) });
  const mail = teller(channel({ user: 'rampart', password: '${env:SMTP_PASSWORD}' }));
  const failure = await failureOf(mail.tell('run-started'));
  expect(failure).toMatchObject({ nonRetryable: true, message: expect.stringContaining('refuses the login') });
  expect(JSON.stringify([failure.message, failure.cause, mail.logged])).not.toContain('a-mail-password');
});

test('a right password is taken', async () => {
  const seen: string[] = [];
  await serve({
    authOptional: false,
    onAuth: ({ username, password }, _session, done) => {
      seen.push(`${username} ${password}`);
      done(null, { user: username });
    },
  });
  await teller(channel({ user: 'rampart', password: '${env:SMTP_PASSWORD}' })).tell('run-started');
  expect(seen).toEqual(['rampart a-mail-password']);
  expect(mails).toHaveLength(1);
});

test.each([
  [450, false],
  [550, true],
])('a receiver refused with %d', async (responseCode, final) => {
  await serve({
    onRcptTo: (_address, _session, done) => done(Object.assign(new Error('no'), { responseCode })),
  });
  const failure = await failureOf(teller(channel()).tell('run-started'));
  expect([failure.nonRetryable, failure.message]).toEqual([final, expect.stringContaining(String(responseCode))]);
});

test('a server that is away is tried again', async () => {
  [port] = (await freePorts(1)) as [number];
  const failure = await failureOf(teller(channel()).tell('run-started'));
  expect(failure.nonRetryable).toBe(false);
});
