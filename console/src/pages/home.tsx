import { me } from "../me";
import { Head, useTitle } from "../ui/parts";

export default function Home() {
  useTitle("Home");
  return <Head title="Home" about={<>You are <bdi>{me.value!.name || me.value!.subject}</bdi>.</>} />;
}
