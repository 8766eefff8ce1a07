import { useTitle, Head } from "../ui/parts";
export default function Connection({ name }: { name: string }) { useTitle(name); return <Head title={<bdi>{name}</bdi>} />; }
