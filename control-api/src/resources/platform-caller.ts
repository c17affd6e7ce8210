import type { FastifyRequest } from 'fastify';
import { type Caller, requirePlatform } from '../http/api-keys.ts';
import type { Services } from './services.ts';

/** Whoever calls with a key of the platform. @throws Problem UNAUTHENTICATED or FORBIDDEN */
export async function platformCaller(
  { authenticate }: Pick<Services, 'authenticate'>,
  request: FastifyRequest,
): Promise<Caller> {
  const caller = await authenticate(request);
  requirePlatform(caller);
  return caller;
}
