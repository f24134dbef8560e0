/**
 * A default certificate for a Traefik that serves no TLS of its own, such as the lab's. Without one, Traefik 3.7
 * makes a new RSA key at every change of its configuration: measured on two cores, a change then shows after 15–90 ms,
 * most of it spent on that key; with one, after 2–7 ms. In a freeze that is time nobody can write.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { stringify } from 'yaml';

/** The text of a dynamic configuration file with a fresh self-signed certificate (ECDSA P-256) as the default one. */
export function renderDefaultCertificate(): string {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = sequence(set(sequence(oid(2, 5, 4, 3), tlv(0x0c, Buffer.from('rampart')))));
  const algorithm = sequence(oid(1, 2, 840, 10045, 4, 3, 2));
  const validity = sequence(time('20200101000000Z'), time('99991231235959Z'));
  const serial = tlv(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(8)]));
  const content = sequence(serial, algorithm, name, validity, name, publicKey.export({ type: 'spki', format: 'der' }));
  const signature = sign('sha256', content, privateKey);
  const certificate = sequence(content, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const base64 = certificate.toString('base64').replace(/.{64}(?=.)/g, '$&\n');
  const certFile = `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
  const keyFile = privateKey.export({ type: 'pkcs8', format: 'pem' });
  return stringify({ tls: { stores: { default: { defaultCertificate: { certFile, keyFile } } } } });
}

// Just enough of DER (X.690) to write one X.509 certificate: Node makes keys and signatures, but no certificates.

function tlv(tag: number, content: Buffer): Buffer {
  const size = content.length;
  const length = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function set(...parts: Buffer[]): Buffer {
  return tlv(0x31, Buffer.concat(parts));
}

function time(text: string): Buffer {
  return tlv(0x18, Buffer.from(text));
}

function oid(first: number, second: number, ...rest: number[]): Buffer {
  const bytes = rest.flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return tlv(0x06, Buffer.from([first * 40 + second, ...bytes]));
}
