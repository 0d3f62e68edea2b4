"""Names for the simulated shop's items: half of the titles are English, half Chinese."""

import numpy as np
import pandas as pd

from model.simulation.simulated_world import STYLES, World

CATEGORIES = (
    ("lamp", "台灯"), ("kettle", "水壶"), ("mug", "马克杯"), ("backpack", "背包"),
    ("umbrella", "雨伞"), ("notebook", "笔记本"), ("pen", "钢笔"), ("headphones", "耳机"),
    ("keyboard", "键盘"), ("mouse", "鼠标"), ("charger", "充电器"), ("phone case", "手机壳"),
    ("scarf", "围巾"), ("gloves", "手套"), ("socks", "袜子"), ("t-shirt", "T恤"),
    ("jacket", "夹克"), ("sneakers", "运动鞋"), ("sandals", "凉鞋"), ("watch", "手表"),
    ("sunglasses", "太阳镜"), ("towel", "毛巾"), ("pillow", "枕头"), ("blanket", "毯子"),
    ("candle", "蜡烛"), ("vase", "花瓶"), ("chair", "椅子"), ("desk", "书桌"),
    ("shelf", "书架"), ("pan", "平底锅"), ("knife", "菜刀"), ("cutting board", "砧板"),
    ("green tea", "绿茶"), ("coffee beans", "咖啡豆"), ("chocolate", "巧克力"), ("cookies", "饼干"),
    ("honey", "蜂蜜"), ("noodles", "面条"), ("soy sauce", "酱油"), ("olive oil", "橄榄油"),
    ("shampoo", "洗发水"), ("toothbrush", "牙刷"), ("soap", "香皂"), ("face cream", "面霜"),
    ("puzzle", "拼图"), ("board game", "桌游"), ("kite", "风筝"), ("yoga mat", "瑜伽垫"),
    ("bicycle light", "自行车灯"), ("dog food", "狗粮"),
)  # fmt: skip
BRANDS = (
    ("Lumen", "朗明"), ("Northwind", "北风"), ("Bamboo & Co", "竹舍"), ("Orchid", "兰亭"),
    ("Kestrel", "红隼"), ("Maple", "枫叶"), ("Jade River", "玉河"), ("Polaris", "北极星"),
    ("Harbour", "港湾"), ("Silkroad", "丝路"), ("Cloudpeak", "云峰"), ("Amber", "琥珀"),
)  # fmt: skip


def user_ids(count: int) -> np.ndarray:
    """Ids like `u000001`."""
    return np.array([f"u{number:06d}" for number in range(1, count + 1)], object)


def item_ids(count: int) -> np.ndarray:
    """Ids like `i00001`."""
    return np.array([f"i{number:05d}" for number in range(1, count + 1)], object)


def queries(world: World) -> list[str]:
    """What one searches for: row 2c is category c in English, 2c + 1 in Chinese."""
    return [word for number in range(world.categories) for word in CATEGORIES[number]]


def catalogue(world: World, rng: np.random.Generator) -> pd.DataFrame:
    """The shop's catalogue, one row an item."""
    count = len(world.category)
    brand = (world.category * STYLES + world.brand) % len(BRANDS)
    language = rng.integers(0, 2, count)
    titles = [
        _title(BRANDS[brand[item]], CATEGORIES[world.category[item]], language[item], item)
        for item in range(count)
    ]
    return pd.DataFrame(
        {
            "item_id": item_ids(count),
            "title": titles,
            "category": [CATEGORIES[number][0] for number in world.category],
            "brand": [BRANDS[number][0] for number in brand],
            "price": world.price,
            "in_stock": rng.random(count) < 0.95,
            "created_at": pd.to_datetime(world.launched, unit="s"),
        }
    )


def _title(brand: tuple[str, str], noun: tuple[str, str], language: int, number: int) -> str:
    model = f"{chr(ord('A') + number % 26)}{number % 97 + 3}"
    return f"{brand[language]} {noun[language]} {model}"
