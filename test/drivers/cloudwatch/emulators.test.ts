import { startMinistack, startMoto } from '../../fakes/emulators.ts';
import { describeCloudwatch } from './contract.ts';

describeCloudwatch('ministack', startMinistack);
describeCloudwatch('moto', startMoto);
