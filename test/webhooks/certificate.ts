/** A certificate of its own for tests, made without any tool: RSA, self-signed. */
import { createSign, generateKeyPairSync, type KeyObject } from 'node:crypto';

export interface TestCertificate {
  pem: string;
  /** Signs as SNS does. */
  sign(algorithm: 'RSA-SHA1' | 'RSA-SHA256', text: string): string;
}

function der(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...contents: Buffer[]): Buffer => der(0x30, ...contents);
const SHA256_WITH_RSA = sequence(der(0x06, Buffer.from('2a864886f70d01010b', 'hex')), der(0x05));
const COMMON_NAME = der(0x06, Buffer.from('550403', 'hex'));

function utcTime(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14);
  return der(0x17, Buffer.from(`${digits}Z`));
}

/** @param from @param to milliseconds since the epoch, between 1950 and 2049 */
export function makeCertificate(from: number, to: number): TestCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const name = sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from('sns.amazonaws.com')))));
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    SHA256_WITH_RSA,
    name,
    sequence(utcTime(from), utcTime(to)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = der(0x03, Buffer.from([0]), createSign('RSA-SHA256').update(body).sign(privateKey));
  const encoded = sequence(body, SHA256_WITH_RSA, signature).toString('base64');
  return {
    pem: `-----BEGIN CERTIFICATE-----\n${encoded.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`,
    sign: (algorithm, text) => signed(algorithm, text, privateKey),
  };
}

const signed = (algorithm: string, text: string, key: KeyObject): string =>
  createSign(algorithm).update(text, 'utf8').sign(key, 'base64');
