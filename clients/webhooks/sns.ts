/** Amazon SNS: whether a message is signed by it, for a topic that may send, and the answer to its subscription. */
import { createVerify, X509Certificate } from 'node:crypto';
import { broken, OK, refused, type Verdict } from './auth.ts';
import { field, textOf } from './message.ts';

/** Gets a text over https, without following redirects. @throws Error when there was no answer */
export type FetchText = (url: string, signal: AbortSignal) => Promise<{ status: number; text: string }>;

const TYPES = ['Notification', 'SubscriptionConfirmation', 'UnsubscribeConfirmation'] as const;
const SIGNED = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
  UnsubscribeConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
} as const;
const ALGORITHMS: Record<string, string> = { '1': 'RSA-SHA1', '2': 'RSA-SHA256' };

/** SNS gives up sending again after an hour; with what clocks may differ, in milliseconds. */
const OLDEST_MS = 65 * 60_000;
const NEWEST_MS = 5 * 60_000;

export interface SnsMessage {
  type: (typeof TYPES)[number];
  topicArn: string;
  timestamp: string;
  signatureVersion: string;
  signature: string;
  signingCertUrl: string;
  /** Only of a confirmation. */
  subscribeUrl: string | null;
  toSign: string;
}

/** The envelope. @returns one sentence when it is none */
export function readSns(body: unknown): SnsMessage | string {
  const type = TYPES.find((one) => one === field(body, 'Type'));
  if (type === undefined) {
    return 'it is no signed SNS message; with raw message delivery nothing is signed: turn that off in the subscription';
  }
  let toSign = '';
  for (const name of SIGNED[type]) {
    const value = field(body, name);
    if (value === undefined && name === 'Subject') continue;
    // A null subject is not signed either.
    if (value === null && name === 'Subject') continue;
    if (typeof value !== 'string') return `the SNS message has no ${name}`;
    toSign += `${name}\n${value}\n`;
  }
  const [signature, signatureVersion] = [textOf(field(body, 'Signature')), textOf(field(body, 'SignatureVersion'))];
  const signingCertUrl = textOf(field(body, 'SigningCertURL'));
  if (signature === null || signatureVersion === null || signingCertUrl === null) {
    return 'the SNS message lacks one of Signature, SignatureVersion and SigningCertURL';
  }
  return {
    ...{ type, toSign, signature, signatureVersion, signingCertUrl },
    topicArn: textOf(field(body, 'TopicArn')) ?? '',
    timestamp: textOf(field(body, 'Timestamp')) ?? '',
    subscribeUrl: textOf(field(body, 'SubscribeURL')),
  };
}

/** Only of AWS itself: `https://sns.<region>.amazonaws.com(.cn)`, on its own port, without user or query. */
const HOST = /^sns\.[a-z]{2,3}(-[a-z]+){1,3}-\d{1,2}\.amazonaws\.com(\.cn)?$/;

function awsUrl(text: string): URL | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = url.protocol === 'https:' && url.port === '' && url.username === '' && url.password === '';
  return plain && url.hash === '' && HOST.test(url.hostname) ? url : null;
}

/** The address of a certificate, when it may be fetched. */
export function certificateUrl(text: string): URL | null {
  const url = awsUrl(text);
  return url !== null && url.search === '' && !text.includes('?') && /^\/[\w-]+\.pem$/.test(url.pathname) ? url : null;
}

/** The address that confirms a subscription of this topic, when it may be fetched. */
export function confirmationUrl(text: string | null, topicArn: string): URL | null {
  const url = awsUrl(text ?? '');
  if (url === null || url.pathname !== '/' || url.searchParams.get('Action') !== 'ConfirmSubscription') return null;
  return url.searchParams.get('TopicArn') === topicArn ? url : null;
}

/** Certificates of AWS by their address, each fetched once. */
export class Certificates {
  readonly #fetch: FetchText;
  readonly #kept = new Map<string, Promise<X509Certificate | string>>();

  constructor(fetch: FetchText) {
    this.#fetch = fetch;
  }

  /** @returns one sentence when AWS says that there is none. @throws Error when AWS does not answer */
  get(url: URL, signal: AbortSignal): Promise<X509Certificate | string> {
    const kept = this.#kept.get(url.href);
    if (kept !== undefined) return kept;
    const fetched = this.#load(url, signal);
    // AWS has a few at a time; the oldest goes when they have changed that often.
    if (this.#kept.size >= 16) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(url.href, fetched);
    const forget = (): unknown => this.#kept.delete(url.href);
    fetched.then((got) => typeof got === 'string' && forget(), forget);
    return fetched;
  }

  async #load(url: URL, signal: AbortSignal): Promise<X509Certificate | string> {
    const { status, text } = await this.#fetch(url.href, signal);
    if (status >= 500) throw new Error(`${url.hostname} answers ${status}`);
    if (status !== 200) return `there is no certificate at ${url.hostname} (it answers ${status})`;
    try {
      return new X509Certificate(text);
    } catch {
      return `what ${url.hostname} sent is no certificate`;
    }
  }
}

/** Whether SNS signed it, now, for one of the topics. `broken` when the certificate cannot be had at the moment. */
export async function verifySns(
  message: SnsMessage,
  topics: readonly string[],
  certificates: Certificates,
  now: number,
  signal: AbortSignal,
): Promise<Verdict> {
  // Before anything is fetched: a stranger's message costs nothing.
  if (!topics.includes(message.topicArn)) return refused('its topic is not in the list of the source');
  const algorithm = ALGORITHMS[message.signatureVersion];
  if (algorithm === undefined) return refused('its SignatureVersion is neither 1 nor 2');
  const url = certificateUrl(message.signingCertUrl);
  if (url === null) return refused('its SigningCertURL is not of AWS');
  const age = now - Date.parse(message.timestamp);
  if (!(age <= OLDEST_MS && age >= -NEWEST_MS))
    return refused('its Timestamp is not of this hour: a replay, or a wrong clock');
  let certificate: X509Certificate | string;
  try {
    certificate = await certificates.get(url, signal);
  } catch (error) {
    return broken(`the certificate of SNS cannot be had: ${(error as Error).message}`);
  }
  if (typeof certificate === 'string') return refused(certificate);
  if (!(now >= Date.parse(certificate.validFrom) && now <= Date.parse(certificate.validTo))) {
    return refused('its certificate is not valid now');
  }
  if (certificate.publicKey.asymmetricKeyType !== 'rsa') return refused('its certificate has another kind of key');
  const right = createVerify(algorithm)
    .update(message.toSign, 'utf8')
    .verify(certificate.publicKey, message.signature, 'base64');
  return right ? OK : refused('its signature is wrong');
}

/** Answers a verified SubscriptionConfirmation. `broken`: SNS shall send it again. */
export async function confirmSubscription(
  message: SnsMessage,
  fetch: FetchText,
  signal: AbortSignal,
): Promise<Verdict> {
  const url = confirmationUrl(message.subscribeUrl, message.topicArn);
  if (url === null) return refused('its SubscribeURL is not of AWS, or for another topic');
  try {
    const { status } = await fetch(url.href, signal);
    return status === 200 ? OK : broken(`${url.hostname} answers ${status} to the confirmation`);
  } catch (error) {
    return broken(`the subscription cannot be confirmed: ${(error as Error).message}`);
  }
}

/** More than any certificate or confirmation, in bytes. */
const MOST_BYTES = 65_536;

/** {@link FetchText} of Node. */
export const fetchText: FetchText = async (url, signal) => {
  const response = await fetch(url, { signal, redirect: 'error', headers: { 'user-agent': 'rampart' } });
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MOST_BYTES) throw new Error(`${new URL(url).hostname} sends too much`);
  }
  return { status: response.status, text };
};
